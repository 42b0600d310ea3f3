//! What the machine is, and where it is found on the network.

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    time::Duration,
};

use nix::ifaddrs::getifaddrs;
use sysinfo::System;
use systembot_model::host::Host;

use super::{Roots, file::Source};

/// Time after which the facts are read anew; a change of the routes does it at once.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The route is up, RTF_UP of the kernel's route.h.
const ROUTE_UP: u32 = 0x1;
/// The route says that there is no way, RTF_REJECT.
const ROUTE_REJECT: u32 = 0x200;
/// The address is not (or no longer) one to be found at: deprecated, tentative, or a duplicate (IFA_F_* of if_addr.h).
const ADDRESS_UNUSABLE: u8 = 0x20 | 0x40 | 0x08;
/// The address changes by itself for privacy, IFA_F_TEMPORARY.
const ADDRESS_TEMPORARY: u8 = 0x01;

/// Reads the facts, seldom.
pub(super) struct Facts {
    routes: Source,
    /// Routes as they were read last.
    routes_before: Vec<u8>,
    routes6: PathBuf,
    addresses6: PathBuf,
    looked: Option<Duration>,
    host: Host,
}

impl Facts {
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            routes: Source::new(roots.proc.join("net/route")),
            routes_before: Vec::new(),
            routes6: roots.proc.join("net/ipv6_route"),
            addresses6: roots.proc.join("net/if_inet6"),
            looked: None,
            host: Host::default(),
        }
    }

    /// The machine; `steady` tells when to look again. `cpus` is the number of CPUs online, 0 where it is not known.
    pub(super) fn read(&mut self, steady: Duration, cpus: u32) -> Host {
        // A kernel without IPv4 has no such file.
        let routes = self.routes.read().unwrap_or_default();
        let is_changed = routes != self.routes_before;
        if is_changed || self.looked.is_none_or(|looked| steady.saturating_sub(looked) >= LOOK_EVERY) {
            self.routes_before = routes.to_vec();
            self.looked = Some(steady);
            self.look();
        }
        if cpus > 0 {
            self.host.cpus = cpus;
        }
        self.host.clone()
    }

    fn look(&mut self) {
        let text = |path: &PathBuf| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        let routes = String::from_utf8_lossy(&self.routes_before);
        let interface = default_route(&routes).or_else(|| default_route6(&text(&self.routes6)));
        let uname = rustix::system::uname();
        self.host = Host {
            name: System::host_name().unwrap_or_default(),
            os: operating_system(),
            kernel: System::kernel_version().unwrap_or_default(),
            build: uname.version().to_string_lossy().into_owned(),
            architecture: System::cpu_arch(),
            cpus: self.host.cpus,
            ipv4: interface.as_deref().and_then(ipv4),
            ipv6: interface.as_deref().and_then(|interface| ipv6(&text(&self.addresses6), interface)),
            interface,
        };
    }
}

/// PRETTY_NAME of os-release(5), which sysinfo does not tell; name and version where there is none.
fn operating_system() -> String {
    let release =
        ["/etc/os-release", "/usr/lib/os-release"].iter().find_map(|path| fs::read_to_string(path).ok());
    release.as_deref().and_then(pretty_name).unwrap_or_else(|| {
        let words = [System::name().ok(), System::os_version().ok()];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    })
}

/// The value is quoted as in a shell.
fn pretty_name(release: &str) -> Option<String> {
    let value = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?.trim();
    let bare = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    let name = bare('"').map(|text| text.replace("\\\"", "\"").replace("\\$", "$"));
    let name = name.unwrap_or_else(|| bare('\'').unwrap_or(value).to_owned());
    (!name.is_empty()).then_some(name)
}

/// The interface of the default route with the least metric in /proc/net/route: `name destination gateway flags
/// references use metric mask ...`, numbers in hexadecimal but the metric.
fn default_route(routes: &str) -> Option<String> {
    let routes = routes.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (name, destination, flags) = (words.next()?, words.next()?, words.nth(1)?);
        let (metric, mask) = (words.nth(2)?.parse().ok()?, words.next()?);
        let flags = u32::from_str_radix(flags, 16).ok()?;
        let is_default = destination == "00000000" && mask == "00000000" && is_way(flags);
        is_default.then_some((metric, name))
    });
    least_metric(routes)
}

/// The same of /proc/net/ipv6_route: `destination length source length gateway metric references use flags name`, all
/// in hexadecimal.
fn default_route6(routes: &str) -> Option<String> {
    let routes = routes.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (destination, length, metric) = (words.next()?, words.next()?, words.nth(3)?);
        let (flags, name) = (words.nth(2)?, words.next()?);
        let number = |text| u32::from_str_radix(text, 16).ok();
        let is_default =
            destination.bytes().all(|byte| byte == b'0') && length == "00" && is_way(number(flags)?);
        (is_default && name != "lo").then_some((number(metric)?, name))
    });
    least_metric(routes)
}

const fn is_way(flags: u32) -> bool {
    flags & ROUTE_UP != 0 && flags & ROUTE_REJECT == 0
}

fn least_metric<'a>(routes: impl Iterator<Item = (u32, &'a str)>) -> Option<String> {
    // Of equals the kernel takes the first, as `min_by_key` does.
    routes.min_by_key(|(metric, _)| *metric).map(|(_, name)| name.to_owned())
}

/// The interface's first IPv4 address; it needs no broadcast address to have one.
fn ipv4(interface: &str) -> Option<Ipv4Addr> {
    let addresses = getifaddrs().ok()?.filter(|address| address.interface_name == interface);
    addresses.filter_map(|address| address.address?.as_sockaddr_in().map(|address| address.ip())).next()
}

/// The interface's best address in /proc/net/if_inet6 (`address index length scope flags name`): one for the whole
/// world before one for the site, that before a link-local one; a lasting one before a temporary one.
fn ipv6(addresses: &str, interface: &str) -> Option<Ipv6Addr> {
    let addresses = addresses.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [address, _, _, _, flags, name] = words.as_slice() else { return None };
        let flags = u8::from_str_radix(flags, 16).ok()?;
        let address = Ipv6Addr::from(u128::from_str_radix(address, 16).ok()?);
        (*name == interface && flags & ADDRESS_UNUSABLE == 0).then_some((address, flags))
    });
    let rank = |(address, flags): &(Ipv6Addr, u8)| {
        let is_temporary = flags & ADDRESS_TEMPORARY != 0;
        (address.is_unicast_link_local(), address.is_unique_local(), is_temporary)
    };
    addresses.min_by_key(rank).map(|(address, _)| address)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Defect 12 of the original: it crashed without a broadcast address, which loopback has not.
    #[test]
    fn an_address_needs_no_broadcast_address() {
        assert_eq!(ipv4("lo"), Some(Ipv4Addr::LOCALHOST));
    }

    /// Defect 12 of the original: it preferred docker0 to the real interface.
    #[test]
    fn the_default_route_is_the_cheapest_that_leads_anywhere() {
        let check = |routes: &str, expected: Option<&str>| {
            assert_eq!(default_route(routes).as_deref(), expected, "{routes}");
        };
        let head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
        let docker = "docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        let wlan = "wlan0\t00000000\t0102A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n";
        let eth = "eth0\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n";
        let vpn = "tun0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000080\t0\t0\t0\n";
        let none = "lo\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0\n";
        check(&[head, docker, wlan, eth, vpn, none].concat(), Some("eth0"));
        check(&[head, docker].concat(), None);
        check(&[head, wlan, none].concat(), Some("wlan0"));
        check("ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000", Some("ppp0"));
        check("", None);
    }

    #[test]
    fn without_ipv4_the_route_of_ipv6_counts() {
        let zeros = "00000000000000000000000000000000";
        let routes = format!(
            "{zeros} 00 {zeros} 00 {zeros} ffffffff 00000001 00000000 00200200       lo\n\
             {zeros} 40 {zeros} 00 {zeros} 00000100 00000001 00000000 00000001     eth1\n\
             {zeros} 00 {zeros} 00 fd000000000000000000000000000001 00000400 00000002 00000000 00000003     eth0\n"
        );
        assert_eq!(default_route6(&routes).as_deref(), Some("eth0"));
        assert_eq!(default_route6(""), None);
    }

    #[test]
    fn the_widest_lasting_address_is_told() {
        let local = "fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n";
        let site = "fd000000000000000000000000000002 04 40 00 82     eth0\n";
        let temporary = "20010db8000000000000000000000009 04 40 00 01     eth0\n";
        let world = "20010db8000000000000000000000001 04 40 00 80     eth0\n";
        let deprecated = "20010db8000000000000000000000005 04 40 00 20     eth0\n";
        let other = "20010db8000000000000000000000007 05 40 00 80     eth1\n";
        let check = |lines: &[&str], expected: Option<&str>| {
            let expected = expected.map(|address| address.parse::<Ipv6Addr>().unwrap());
            assert_eq!(ipv6(&lines.concat(), "eth0"), expected, "{lines:?}");
        };
        check(&[local, site, temporary, world, deprecated, other], Some("2001:db8::1"));
        check(&[deprecated, temporary, site, local], Some("2001:db8::9"));
        check(&[local, site], Some("fd00::2"));
        check(&[other, local], Some("fe80::fc:ff:fe00:1"));
        check(&[other, "x"], None);
    }

    #[test]
    fn the_name_of_the_system_is_unquoted() {
        let check =
            |text, expected: Option<&str>| assert_eq!(pretty_name(text).as_deref(), expected, "{text}");
        check(
            "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
            Some("Debian GNU/Linux 12 (bookworm)"),
        );
        check("PRETTY_NAME='Arch'", Some("Arch"));
        check("PRETTY_NAME=Arch", Some("Arch"));
        check("PRETTY_NAME=\"\"", None);
        check("PRETTY_NAME=\"", Some("\""));
        check("NAME=x", None);
    }
}
