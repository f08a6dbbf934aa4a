//! A budget of credits.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::credits::Credits;
use super::spending::{Period, Spending};
use crate::{Error, Result};

/// The credits that a connector may use in each day or month. When they are used up, it pauses until the next one begins.
///
/// ```
/// use snowfeed::cost::{Budget, Period};
///
/// let budget: Budget = "1.5/day".parse()?;
/// assert_eq!((budget.credits.to_string().as_str(), budget.per), ("1.5", Period::Day));
/// # Ok::<(), snowfeed::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Budget {
    /// The credits. With 0, the connector is paused.
    pub credits: Credits,
    /// The period that they are for.
    pub per: Period,
}

impl FromStr for Budget {
    type Err = Error;

    /// Reads credits and a period, such as `1.5/day` or `20/month`.
    fn from_str(text: &str) -> Result<Self> {
        let invalid = |why: String| {
            Error::configuration(why).with_help("write credits and a period, such as 1.5/day or 20/month")
        };
        let Some((credits, period)) = text.split_once('/') else {
            return Err(invalid(format!("the budget {text:?} has no period")));
        };
        let per = match period {
            "day" => Period::Day,
            "month" => Period::Month,
            _ => return Err(invalid(format!("the budget {text:?} is for neither a day nor a month"))),
        };
        let credits =
            credits.parse().map_err(|error: Error| invalid(format!("the budget {text:?} is invalid: {error}")))?;
        Ok(Self { credits, per })
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.credits.exact().trim_end_matches('0').trim_end_matches('.'), self.per)
    }
}

impl TryFrom<String> for Budget {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Budget> for String {
    fn from(budget: Budget) -> Self {
        budget.to_string()
    }
}

/// How much of a budget is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BudgetUse {
    /// The budget.
    pub budget: Budget,
    /// The credits that were used in the current period.
    pub used: Credits,
    /// Until when the connector is paused; `None` while it is not.
    pub paused_until: Option<Timestamp>,
}

impl BudgetUse {
    /// How much of a budget these streams have used at this time.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal) beyond the year 9999.
    pub fn new<'a>(budget: Budget, spending: impl IntoIterator<Item = &'a Spending>, at: Timestamp) -> Result<Self> {
        let used: Credits = spending.into_iter().map(|spending| spending.within(budget.per, at)).sum();
        let is_used_up = used >= budget.credits;
        let paused_until = is_used_up.then(|| budget.per.end(at)).transpose()?;
        Ok(Self { budget, used, paused_until })
    }
}

impl fmt::Display for BudgetUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { budget: Budget { credits, per }, used, paused_until } = self;
        match paused_until {
            None => write!(f, "{used} of {credits} credits are used this {per}"),
            Some(until) => write!(f, "paused until {until}: {used} of {credits} credits are used this {per}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_credits_in_a_period() {
        for text in ["1.5/day", "20/month", "0/day", "0.000001/month"] {
            assert_eq!(text.parse::<Budget>().unwrap().to_string(), text);
        }
        for text in
            ["", "1", "-1/day", "NaN/day", "inf/month", "1/week", "1/Day", "/day", "1//day", "1 /day", "1e2/day"]
        {
            let error = text.parse::<Budget>().unwrap_err();
            assert!(error.message().contains(&format!("{text:?}")), "{}", error.message());
            assert_eq!(error.help(), Some("write credits and a period, such as 1.5/day or 20/month"));
        }
    }

    #[test]
    fn a_used_budget_pauses_until_its_period_ends() {
        let at: Timestamp = "2026-12-31T23:59:59Z".parse().unwrap();
        let mut spending = Spending::default();
        spending.add(Credits::from_micros(600_000), at);
        let used = |budget: &str| BudgetUse::new(budget.parse().unwrap(), [&spending, &spending], at).unwrap();
        assert_eq!(used("1.3/day").paused_until, None);
        assert_eq!(used("1.3/day").used, Credits::from_micros(1_200_000), "both streams");
        let until = Some("2027-01-01T00:00:00Z".parse().unwrap());
        assert_eq!((used("1.2/day").paused_until, used("1/month").paused_until), (until, until));
        assert_eq!(used("0/day").paused_until, until);
        assert_eq!(
            used("1/month").to_string(),
            "paused until 2027-01-01T00:00:00Z: 1.2 of 1 credits are used this month"
        );
        let leap: Timestamp = "2028-02-10T00:00:00Z".parse().unwrap();
        assert_eq!(Period::Month.end(leap).unwrap().to_string(), "2028-03-01T00:00:00Z");
    }
}
