//! Ways to the owner.
