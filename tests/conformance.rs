//! The backends against their contracts.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/probes.rs"]
mod probes;

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
