//! The columns of a table: its series, found by their names.

use std::collections::HashMap;

use systembot_model::Series;
use systembot_storage::IMPORT_SERIES;

/// Series in the order in which they were met.
#[derive(Default)]
pub(super) struct Columns {
    by_name: HashMap<String, usize>,
    series: Vec<Series>,
}

impl Columns {
    pub(super) fn series(&self) -> &[Series] {
        &self.series
    }

    /// The column of a series, a new one if it has none yet.
    pub(super) fn of(&mut self, name: &str) -> Result<usize, String> {
        if let Some(column) = self.by_name.get(name) {
            return Ok(*column);
        }
        self.add(name)
    }

    /// A new column.
    pub(super) fn add(&mut self, name: &str) -> Result<usize, String> {
        let series = Series::parse(name).ok_or_else(|| {
            format!("`{name}` is no id of a series: write load1, or \"disk_used_percent{{mount=\"\"/\"\"}}\"")
        })?;
        if self.series.len() >= IMPORT_SERIES {
            return Err(format!("more than {IMPORT_SERIES} series: split the file"));
        }
        let column = self.series.len();
        if self.by_name.insert(name.to_owned(), column).is_some() {
            return Err(format!("the column `{name}` is there twice"));
        }
        self.series.push(series);
        Ok(column)
    }
}
