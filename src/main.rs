//! The program `systembot`.

use std::process::ExitCode;

use systembot::{
    clock::{Clock, SystemClock},
    doctor, local, run, salvage,
};
use systembot_cli::{Edges, Judged};
use systembot_model::{Rules, detect::Detector};

fn main() -> ExitCode {
    // The log is for its owner alone, whichever command opens it.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    if let Some(code) = salvage::trial() {
        return code;
    }
    systembot_cli::main(
        std::env::args_os(),
        &Edges {
            now: &|| SystemClock.now(),
            run: &run::run,
            ask: &local::ask,
            doctor: &doctor::examine,
            detector: &|| {
                let mut detector = Detector::new(Rules::default());
                Box::new(move |at, value| {
                    let (score, is_alert) = detector.push(at, value);
                    Judged { score, is_alert }
                })
            },
        },
    )
}
