//! The table of everything that can be set in `systembot.toml`: the reader, the reference and the example all go
//! by it, so a key without a sentence does not compile.

/// A table of `systembot.toml`.
pub(crate) struct Table {
    /// Its dotted name, empty for the unnamed one that holds all.
    pub(crate) path: &'static str,
    /// Whether it may stand often, in double brackets.
    pub(crate) is_list: bool,
    /// What it is about, and what holds without it.
    pub(crate) says: &'static str,
    /// What may stand in it, beside tables.
    pub(crate) keys: &'static [Key],
}

/// A key of `systembot.toml`.
pub(crate) struct Key {
    /// Its name.
    pub(crate) name: &'static str,
    /// What is written behind it.
    pub(crate) kind: Kind,
    /// What holds without it.
    pub(crate) default: Unset,
    /// What it may be; empty where any of its kind will do.
    pub(crate) range: &'static str,
    /// What it is for, in a sentence or two.
    pub(crate) says: &'static str,
}

/// What is written behind a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `"leela"`
    Text,
    /// `"1h30m"`
    Span,
    /// `"512MiB"`
    Size,
    /// `90.0`
    Number,
    /// `100`
    Whole,
    /// `true` or `false`
    Flag,
    /// `["/snap"]`
    List,
    /// A text or a list of them.
    TextOrList,
    /// `{ LANG = "C" }`
    Texts,
}

impl Kind {
    /// Its words in the reference.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Span => "span",
            Self::Size => "size",
            Self::Number => "number",
            Self::Whole => "whole number",
            Self::Flag => "true or false",
            Self::List => "list of texts",
            Self::TextOrList => "text, or list of texts",
            Self::Texts => "table of texts",
        }
    }
}

/// What holds where a key is left out; each with how it is written.
#[derive(Clone, Copy)]
pub(crate) enum Unset {
    /// This.
    Is(&'static str),
    /// The host's name; this is an example.
    HostName(&'static str),
    /// Nothing; this is an example.
    Nothing(&'static str),
    /// A mistake, it is needed; this is an example.
    Mistake(&'static str),
}

impl Table {
    /// The line that begins it; `None` for the unnamed one.
    pub(crate) fn header(&self) -> Option<String> {
        match (self.path, self.is_list) {
            ("", _) => None,
            (path, true) => Some(format!("[[{path}]]")),
            (path, false) => Some(format!("[{path}]")),
        }
    }

    /// Its name within the table that holds it, if that is the one given.
    fn name_in(&self, parent: &str) -> Option<&'static str> {
        let (above, name) = self.path.rsplit_once('.').unwrap_or(("", self.path));
        (above == parent && !name.is_empty()).then_some(name)
    }
}

/// The names of a table's keys, then those of the tables that it may hold.
pub(crate) fn names_in(path: &str) -> impl Iterator<Item = &'static str> {
    let keys = table(path).map_or(&[][..], |table| table.keys);
    keys.iter().map(|key| key.name).chain(TABLES.iter().filter_map(move |table| table.name_in(path)))
}

/// A table by its dotted name.
pub(crate) fn table(path: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.path == path)
}

/// The dotted name of a table in another.
pub(crate) fn path_of(parent: &str, name: &str) -> &'static str {
    let table = TABLES.iter().find(|table| table.name_in(parent) == Some(name));
    table.map_or("", |table| table.path)
}

const fn key(name: &'static str, kind: Kind, default: Unset, range: &'static str, says: &'static str) -> Key {
    Key { name, kind, default, range, says }
}

const INTERVAL: &str = "1s to 1h";
const PERCENT: &str = "0 to 100";
const WINDOW: &str = "2 to 800";

/// Every table with its keys, the unnamed one first.
pub(crate) static TABLES: &[Table] = &[
    Table {
        path: "",
        is_list: false,
        says: "Keys that stand above the first table.",
        keys: &[
            key(
                "name",
                Kind::Text,
                Unset::HostName("\"myhost\""),
                "letters, digits, - and _ where a bridge is used",
                "The bot's name in messages, and the name of its queue at the bridge.",
            ),
            key(
                "sample_interval",
                Kind::Span,
                Unset::Is("\"15s\""),
                INTERVAL,
                "How often the machine is read.",
            ),
            key(
                "repeat_interval",
                Kind::Span,
                Unset::Is("\"1h\""),
                "0s to 30d",
                "How long it is silent about an alert that it has told and that goes on. With \"0s\" it sends no \
                 alerts at all; they are recorded all the same.",
            ),
            key(
                "log_level",
                Kind::Text,
                Unset::Is("\"info\""),
                "error, warn, info, debug or trace",
                "What is logged to stderr: this and graver.",
            ),
        ],
    },
    Table {
        path: "storage",
        is_list: false,
        says: "How much is remembered. Raw samples, message texts and heard chat lines are pruned by age, and oldest \
               first by size; their mean, minimum and maximum of each 5 minutes stay for rollup_retention; alerts, \
               services, blind spans, starts and configurations stay for ever.",
        keys: &[
            key(
                "retention",
                Kind::Span,
                Unset::Is("\"400d\""),
                "1d to 36500d",
                "Age above which raw samples are pruned, and with them message texts and heard chat lines.",
            ),
            key(
                "rollup_retention",
                Kind::Span,
                Unset::Is("\"3650d\""),
                "1d to 3650d",
                "Age above which the 5-minute roll-ups of samples are pruned.",
            ),
            key(
                "max_size",
                Kind::Size,
                Unset::Is("\"512MiB\""),
                "16MiB to 1024TiB",
                "Size of the log above which the oldest raw samples are pruned, whatever their age.",
            ),
        ],
    },
    Table {
        path: "thresholds",
        is_list: false,
        says: "Limits that alert when passed, in percent.",
        keys: &[
            key(
                "disk_used_percent",
                Kind::Number,
                Unset::Is("90.0"),
                PERCENT,
                "A disk is full above this; used and free are as df counts them.",
            ),
            key(
                "memory_available_percent",
                Kind::Number,
                Unset::Is("15.0"),
                PERCENT,
                "Memory is low at or below this.",
            ),
            key(
                "cpu_idle_percent",
                Kind::Number,
                Unset::Is("15.0"),
                PERCENT,
                "The CPUs are busy while less of their time than this is idle.",
            ),
        ],
    },
    Table {
        path: "trend",
        is_list: false,
        says: "What is unusual: so many standard deviations away from the newest values of the same series.",
        keys: &[
            key(
                "standard_deviations",
                Kind::Number,
                Unset::Is("2.0"),
                "above 0 to 100",
                "How many standard deviations a value must lie away.",
            ),
            key(
                "minimum_length",
                Kind::Whole,
                Unset::Is("2"),
                WINDOW,
                "Values that must be known before anything is called unusual.",
            ),
            key(
                "maximum_length",
                Kind::Whole,
                Unset::Is("100"),
                WINDOW,
                "Values that are compared with; not below minimum_length.",
            ),
        ],
    },
    Table {
        path: "ignore",
        is_list: false,
        says: "What never alerts.",
        keys: &[key(
            "mounts",
            Kind::List,
            Unset::Is("[]"),
            "absolute paths",
            "Mounts that never alert, with all that is mounted below them; / is only itself.",
        )],
    },
    Table {
        path: "include",
        is_list: false,
        says: "What is read beside the usual.",
        keys: &[key(
            "mounts",
            Kind::List,
            Unset::Is("[]"),
            "absolute paths",
            "Mounts that are read though they hold nothing on a device, such as a tmpfs.",
        )],
    },
    Table {
        path: "public_address",
        is_list: false,
        says: "The service that tells this machine's address on the Internet. Without this table it is asked only \
               when you ask the bot; named here, it is asked every hour.",
        keys: &[key(
            "url",
            Kind::Text,
            Unset::Is("\"https://api.ipify.org/\""),
            "http:// or https://",
            "A service that answers with the address and nothing else. Parameters of the URL are never shown.",
        )],
    },
    Table {
        path: "bridge",
        is_list: false,
        says: "The HTTP message bridge that carries the chat. Without this table none is used.",
        keys: &[
            key(
                "url",
                Kind::Text,
                Unset::Is("\"http://localhost:8003/\""),
                "http:// or https://",
                "Its address. It may hold a user and a password (http://user:password@host/), which are never shown.",
            ),
            key(
                "poll_interval",
                Kind::Span,
                Unset::Is("\"10s\""),
                INTERVAL,
                "How often it is asked for new commands.",
            ),
        ],
    },
    Table {
        path: "xmpp",
        is_list: false,
        says: "An XMPP account of the bot's own. Without this table none is used. This version checks it, but does not \
               serve it: chat goes by [bridge] alone.",
        keys: &[
            key(
                "jid",
                Kind::Text,
                Unset::Mistake("\"bot@example.org\""),
                "name@domain, perhaps /resource",
                "The bot's own address.",
            ),
            key(
                "password_file",
                Kind::Text,
                Unset::Mistake("\"/etc/systembot/xmpp-password\""),
                "a path, from the configuration's directory on",
                "The file that holds the account's password and nothing else.",
            ),
            key(
                "owner",
                Kind::TextOrList,
                Unset::Mistake("\"me@example.org\""),
                "name@domain",
                "Who is answered: one address, or a list of them.",
            ),
            key(
                "server",
                Kind::Text,
                Unset::Nothing("\"xmpp.example.org:5222\""),
                "host:port",
                "Host and port of the server, where they are not to be looked up.",
            ),
        ],
    },
    Table {
        path: "service",
        is_list: true,
        says: "A program that should be running; write this table once for each of them, 64 at most. It is found by \
               match, by pidfile (by both, where both are set), or as a unit.",
        keys: SERVICE,
    },
    Table {
        path: "service.check",
        is_list: false,
        says: "How the health of the service above is looked after while it runs, by exactly one of tcp, http and \
               command. Two failures in a row are told. Without this table it is enough that it exists.",
        keys: CHECK,
    },
];

/// The keys of `[[service]]`.
const SERVICE: &[Key] = &[
    key(
        "name",
        Kind::Text,
        Unset::Mistake("\"test_bot\""),
        "no two the same but for capitals",
        "Its name in messages and commands.",
    ),
    key(
        "match",
        Kind::Text,
        Unset::Nothing("\"test_bot.py --loglevel\""),
        "",
        "How its command line begins: at the program, or at the script where a program such as python3 runs one.",
    ),
    key(
        "anywhere",
        Kind::Flag,
        Unset::Is("false"),
        "",
        "Whether match may stand anywhere in the command line.",
    ),
    key(
        "pidfile",
        Kind::Text,
        Unset::Nothing("\"/run/test_bot.pid\""),
        "an absolute path",
        "The file that holds the number of its process.",
    ),
    key(
        "unit",
        Kind::Text,
        Unset::Nothing("\"postgresql.service\""),
        "the name of a systemd unit",
        "The systemd unit that it is, instead of match and pidfile; without a suffix .service is meant. With user \
         it is a unit of that user's own manager.",
    ),
    key(
        "user",
        Kind::Text,
        Unset::Nothing("\"me\""),
        "a name or a number",
        "The user it runs as: processes of others are not it, and where systembot is root it is started as that \
         user.",
    ),
    key(
        "restart",
        Kind::Text,
        Unset::Nothing("\"python3 /home/me/test_bot.py --loglevel debug\""),
        "",
        "The command that starts it again, split into words as a shell does with quotes, nothing expanded. Left \
         out, you are only told that it is gone.",
    ),
    key("sh", Kind::Flag, Unset::Is("false"), "", "Whether restart is handed to a shell as it stands."),
    key(
        "directory",
        Kind::Text,
        Unset::Nothing("\"/home/me\""),
        "an absolute path",
        "The directory that it is started in.",
    ),
    key(
        "environment",
        Kind::Texts,
        Unset::Nothing("{ LANG = \"C.UTF-8\" }"),
        "letters, digits and _ in a name",
        "Variables that it is started with, besides those of systembot; their values are never shown or recorded.",
    ),
    key(
        "grace",
        Kind::Span,
        Unset::Is("\"30s\""),
        INTERVAL,
        "How long a start may take: what has not come up by then has failed.",
    ),
    key(
        "after",
        Kind::List,
        Unset::Is("[]"),
        "names of other services",
        "Services that must run before this one is started.",
    ),
    key(
        "backoff",
        Kind::Span,
        Unset::Is("\"1s\""),
        INTERVAL,
        "The wait before the second start; it doubles with each further one.",
    ),
    key(
        "backoff_max",
        Kind::Span,
        Unset::Is("\"5m\""),
        INTERVAL,
        "The longest wait between two starts; not below backoff.",
    ),
    key(
        "start_limit",
        Kind::Whole,
        Unset::Is("5"),
        "0 to 1000",
        "Starts within start_limit_interval beyond which it is given up; 0 for no limit.",
    ),
    key(
        "start_limit_interval",
        Kind::Span,
        Unset::Is("\"10m\""),
        "1s to 1d",
        "How long a start counts; a service that ran that long begins anew.",
    ),
];

/// The keys of `[service.check]`.
const CHECK: &[Key] = &[
    key(
        "tcp",
        Kind::Text,
        Unset::Nothing("\"localhost:8080\""),
        "host:port",
        "It is well while a connection to this is taken.",
    ),
    key(
        "http",
        Kind::Text,
        Unset::Nothing("\"http://localhost:8080/health\""),
        "http:// or https://, no password in it",
        "It is well while a GET of this is answered with a status of 200 to 399.",
    ),
    key(
        "command",
        Kind::Text,
        Unset::Nothing("\"/usr/bin/test -e /run/test_bot.ready\""),
        "",
        "It is well while this command, split into words as restart is, exits with 0.",
    ),
    key("timeout", Kind::Span, Unset::Is("\"5s\""), "100ms to 1m", "How long a check may take."),
    key("interval", Kind::Span, Unset::Is("\"1m\""), INTERVAL, "How often it is checked."),
    key(
        "restart",
        Kind::Flag,
        Unset::Is("false"),
        "needs restart of the service",
        "Whether a service that fails its check is ended and started again; else it is only told.",
    ),
];
