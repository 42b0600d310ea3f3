//! What the machine is: facts that seldom change, recorded when they do.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// The machine as its owner would describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Host name, uname(2) nodename.
    pub name: String,
    /// Operating system, PRETTY_NAME of os-release(5).
    pub os: String,
    /// Kernel release, uname(2).
    pub kernel: String,
    /// Kernel build, uname(2) version.
    pub build: String,
    /// Hardware architecture, uname(2) machine.
    pub architecture: String,
    /// Logical CPUs online.
    pub cpus: u32,
    /// Interface of the default route, if there is one.
    pub interface: Option<String>,
    /// IPv4 address of that interface.
    pub ipv4: Option<Ipv4Addr>,
    /// Global IPv6 address of that interface, or its link-local one where it has no other.
    pub ipv6: Option<Ipv6Addr>,
}

/// One running process, for "top processes".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Process number.
    pub pid: u32,
    /// Short name, /proc/PID/comm.
    pub name: String,
    /// User it runs as; the number where no name is known.
    pub user: String,
    /// CPU used between two readings as top(1) counts it: 100 is one CPU kept busy.
    pub cpu_percent: f64,
    /// Resident memory in bytes.
    pub memory_bytes: u64,
}
