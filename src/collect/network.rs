//! Traffic of the network interfaces.

use systembot_model::{Series, number::float, sample::Pass};

use super::{Roots, file::Source, labelled::Labelled};

/// Reads /proc/net/dev: every interface, loopback too.
pub(super) struct Network {
    file: Source,
    series: Labelled<3>,
}

impl Network {
    pub(super) fn new(roots: &Roots) -> Self {
        let metrics = ["network_sent_bytes_total", "network_received_bytes_total", "network_errors_total"];
        Self { file: Source::new(roots.proc.join("net/dev")), series: Labelled::new("interface", metrics) }
    }

    pub(super) fn read(&mut self, pass: &mut Pass) {
        let Some(text) = self.file.text_or_note(&mut pass.notes) else { return };
        for (name, counted) in text.lines().filter_map(interface) {
            let series: [Series; 3] = self.series.of(name);
            for (series, value) in series.into_iter().zip(counted) {
                pass.sample.push(series, value);
            }
        }
    }
}

/// One line: `eth0: 8 columns received, 8 columns sent`; the name may hold a colon, and blanks before it.
///
/// Gives bytes sent, bytes received, and errors in both directions.
fn interface(line: &str) -> Option<(&str, [f64; 3])> {
    let (name, columns) = line.rsplit_once(':')?;
    let column = |index| columns.split_ascii_whitespace().nth(index)?.parse().ok().map(float);
    Some((name.trim(), [column(8)?, column(0)?, column(2)? + column(10)?]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_its_name_and_spacing() {
        let check = |line, expected| assert_eq!(interface(line), expected, "{line}");
        check("  eth0: 91 4 3 0 0 0 0 0 26 30 2 0 0 0 0 0", Some(("eth0", [26.0, 91.0, 5.0])));
        check("eth0:1:91 4 3 0 0 0 0 0 26 30 2 0 0 0 0 0", Some(("eth0:1", [26.0, 91.0, 5.0])));
        check(" face |bytes    packets errs drop fifo frame compressed multicast|bytes", None);
        check("eth0: 91 4 3 0 0 0 0 0 26 30", None);
        check("eth0: -1 4 3 0 0 0 0 0 26 30 2 0 0 0 0 0", None);
    }
}
