//! Which configuration and which log a command is about.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use systembot_config::{Env, Loaded, Mistakes, Settings, data_dir, find, load};

use crate::args::Global;

/// The configuration in force, and where the log lies.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What it sets, and what the owner should know of it.
    pub loaded: Loaded,
    /// The file it came from, absolute; `None` on defaults.
    pub config: Option<PathBuf>,
    /// The file that the command line names, absolute; `None` where the environment tells.
    pub named: Option<PathBuf>,
    /// The data directory, absolute; it need not exist.
    pub data_dir: PathBuf,
}

impl Setup {
    /// Finds and reads them.
    ///
    /// # Errors
    /// A file that is named and missing or that has mistakes, told in one line; no directory to be found.
    pub fn find(global: &Global, env: Env<'_>) -> Result<Self> {
        let config = find(global.config.as_deref(), env)?;
        let loaded = read(config.as_deref())?;
        let dir = data_dir(global.data_dir.as_deref(), env)?;
        let data_dir = absolute(&dir)?;
        let config = config.as_deref().map(absolute).transpose()?;
        let named = global.config.as_deref().map(absolute).transpose()?;
        Ok(Self { loaded, config, named, data_dir })
    }

    /// Finds and reads the configuration once more; the log stays where it is.
    ///
    /// # Errors
    /// As [`Self::find`], and where there is no file any more: it may be on the way, and defaults are not meant.
    pub fn again(&self, env: Env<'_>) -> Result<Self> {
        let config = find(self.named.as_deref(), env)?.as_deref().map(absolute).transpose()?;
        if let (Some(before), None) = (&self.config, &config) {
            anyhow::bail!("{}: no such configuration file any more", before.display());
        }
        Ok(Self { loaded: read(config.as_deref())?, config, ..self.clone() })
    }
}

/// Reads a configuration file, or gives the defaults.
///
/// # Errors
/// All its mistakes.
pub fn read(file: Option<&Path>) -> Result<Loaded, Mistakes> {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    file.map_or_else(
        || Ok(Loaded { settings: Settings::defaults(&host), warnings: Vec::new() }),
        |file| load(file, &host),
    )
}

/// The path from the root on.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| path.display().to_string())
}
