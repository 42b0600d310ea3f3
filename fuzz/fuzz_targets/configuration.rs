//! Both forms of the configuration: whatever is in order comes back the same from the TOML that is made of it.
//!
//! The first byte chooses: 0 for the text as it is, 1 for one that begins as the legacy form does.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use systembot_config::{Form, parse, show, to_toml};

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, text)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    let text = if choice % 2 == 0 { text.into_owned() } else { format!("[DEFAULT]\n{text}") };
    let file = Path::new("/etc/systembot/systembot.toml");
    match parse(&text, file, "leela") {
        Ok(loaded) => {
            for form in [Form::Toml, Form::Json, Form::Csv] {
                drop(show(&loaded.settings, form));
            }
            let toml = to_toml(&loaded.settings);
            let again = parse(&toml, file, "leela").unwrap_or_else(|mistakes| panic!("{mistakes}\n{toml}"));
            assert!(again.settings == loaded.settings, "{toml}\nbecame\n{}", to_toml(&again.settings));
        }
        Err(mistakes) => drop(mistakes.to_string()),
    }
});
