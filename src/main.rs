//! The program `systembot`.

fn main() {}
