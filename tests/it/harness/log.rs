//! What the offline tools say of a store that no server has open.

use serde_json::Value;

use super::{Home, run};

impl Home {
    /// Runs `repsec log` with these arguments on this store, and gives its one line of JSON.
    pub fn log(&self, arguments: &[&str]) -> Value {
        let data = self.data();
        let place = ["--data", data.to_str().unwrap(), "--json"];
        run(&[&["log"], arguments, &place].concat()).ended(0).value()
    }

    /// The number of events in the log, all of which must be sound.
    pub fn verified_events(&self) -> u64 {
        let report = self.log(&["verify"]);
        assert_eq!(report["sound"], true, "{report}");
        assert_eq!(report["events"], report["sequence"], "{report}");
        report["events"].as_u64().unwrap()
    }
}
