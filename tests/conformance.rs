//! The backends against their contracts.

mod support;

mod memory {
    mod sink {
        use crate::support::probes::MemoryProbe;

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
        use crate::support::probes::SqliteProbe;

        snowfeed::sink_conformance!(SqliteProbe::new());
    }

    mod states {
        snowfeed::state_store_conformance!(snowfeed::backends::Sqlite::in_memory().unwrap());
    }

    mod configuration {
        snowfeed::config_store_conformance!(snowfeed::backends::Sqlite::in_memory().unwrap());
    }
}
