//! The conformance suites over the backends.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/probes.rs"]
mod probes;

#[cfg(feature = "snowflake")]
#[path = "support/peers.rs"]
mod peers;

mod memory {
    mod sink {
        use crate::probes::MemoryProbe;

        snowfeed::sink_conformance!(MemoryProbe::new());
    }

    mod states {
        snowfeed::state_store_conformance!(snowfeed::backends::Memory::new());
    }

    mod configuration {
        snowfeed::config_store_conformance!(snowfeed::backends::Memory::new());
    }
}

mod sqlite {
    mod sink {
        use crate::probes::SqliteProbe;

        snowfeed::sink_conformance!(SqliteProbe::new());
    }

    mod states {
        snowfeed::state_store_conformance!(snowfeed::backends::Sqlite::in_memory().unwrap());
    }

    mod configuration {
        snowfeed::config_store_conformance!(snowfeed::backends::Sqlite::in_memory().unwrap());
    }
}

/// Against a Snowflake server on this machine. Each check has a separate database.
#[cfg(feature = "snowflake")]
mod snowflake {
    use snowfeed::backends::Snowflake;

    use crate::peers;
    use crate::probes::snowflake::SnowflakeProbe;

    fn probe(max_bind_bytes: usize) -> SnowflakeProbe {
        let server = peers::next_fakesnow().expect("python3, which the Snowflake server of the tests needs");
        SnowflakeProbe::new(server, max_bind_bytes)
    }

    /// Through the stage.
    fn probe_without_documents() -> SnowflakeProbe {
        let server = peers::next_fakesnow().expect("python3, which the Snowflake server of the tests needs");
        SnowflakeProbe::without_documents(server, 0)
    }

    fn store() -> Snowflake {
        probe(usize::MAX).snowflake
    }

    mod sink_by_bound_values {
        snowfeed::sink_conformance!(super::probe(usize::MAX));
    }

    mod sink_through_the_stage {
        snowfeed::sink_conformance!(super::probe(0));
    }

    mod sink_without_documents {
        snowfeed::sink_conformance!(super::probe_without_documents());
    }

    mod states {
        snowfeed::state_store_conformance!(super::store());
    }

    mod configuration {
        snowfeed::config_store_conformance!(super::store());
    }
}

/// The same on an account whose parameters are all set to values that break careless clients.
#[cfg(feature = "snowflake")]
mod hostile_snowflake {
    use crate::peers;
    use crate::probes::snowflake::SnowflakeProbe;

    fn probe(max_bind_bytes: usize) -> SnowflakeProbe {
        let server = peers::next_fakesnow().expect("python3, which the Snowflake server of the tests needs");
        SnowflakeProbe::hostile(server, max_bind_bytes)
    }

    mod sink_by_bound_values {
        snowfeed::sink_conformance!(super::probe(usize::MAX));
    }

    mod sink_through_the_stage {
        snowfeed::sink_conformance!(super::probe(0));
    }

    mod states {
        snowfeed::state_store_conformance!(super::probe(usize::MAX).snowflake);
    }

    mod configuration {
        snowfeed::config_store_conformance!(super::probe(usize::MAX).snowflake);
    }
}
