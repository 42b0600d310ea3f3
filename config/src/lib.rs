//! What the owner wants: read once, checked once.
//!
//! Two forms give the same [`Settings`]: `systembot.toml`, and the `system_bot.conf` of the original bot. Which
//! of them a file is shows in its content. All mistakes of a file are told at once, each with file, line and key.
//! Nothing here looks at the environment or the machine but the configuration file itself: the variables and the
//! host name are passed in.

mod bounds;
mod find;
mod keys;
mod legacy;
mod mistake;
mod nearest;
mod reference;
mod settings;
mod show;
pub mod size;
mod source;
pub mod span;
mod toml_form;
mod url;

use std::path::Path;

pub use find::{Env, Error, NamedBy, data_dir, find};
pub use mistake::{Mistake, Mistakes};
pub use reference::{example, reference};
pub use settings::{Bridge, LogLevel, PublicAddress, Settings, Storage, Thresholds, Trend, Xmpp};
pub use show::{Form, changes, show, to_toml};
pub use url::Url;

use source::{Reading, Source};

/// A configuration file that is in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What it sets, over the defaults.
    pub settings: Settings,
    /// What the owner should know but need not mend: unknown keys of the legacy form, keys without effect.
    pub warnings: Vec<Mistake>,
}

/// Reads a configuration file of either form.
///
/// `host_name` is the bot's name where the file gives none.
///
/// # Errors
/// All mistakes of the file in order of line, or the one reason why it cannot be read.
pub fn load(path: &Path, host_name: &str) -> Result<Loaded, Mistakes> {
    judge(&Source::read(path)?, host_name)
}

/// Reads a configuration from its text; `file` is what mistakes call it.
///
/// A relative path in it is meant from the directory of `file`.
///
/// # Errors
/// All mistakes of the text in order of line.
pub fn parse(text: &str, file: &Path, host_name: &str) -> Result<Loaded, Mistakes> {
    judge(&Source::new(file, text.as_bytes())?, host_name)
}

fn judge(source: &Source, host_name: &str) -> Result<Loaded, Mistakes> {
    let tree = toml_form::Tree::parse(source.text());
    let reading = if legacy::is_legacy(source.text(), &tree) {
        legacy::read(source, host_name)
    } else {
        toml_form::read(source, &tree, host_name)
    };
    let Reading { settings, mistakes, warnings } = reading;
    match Mistakes::new(source.merge(mistakes)) {
        Some(mistakes) => Err(mistakes),
        None => Ok(Loaded { settings, warnings }),
    }
}
