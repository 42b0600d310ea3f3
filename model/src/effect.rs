//! stub
use crate::{Record, State};
/// stub
#[derive(Clone, Debug)]
pub enum Effect {}
/// stub
#[must_use]
pub fn effects(_state: &State, _records: &[Record]) -> Vec<Effect> {
    Vec::new()
}
/// stub
#[must_use]
pub fn owed(_state: &State) -> Vec<Effect> {
    Vec::new()
}
