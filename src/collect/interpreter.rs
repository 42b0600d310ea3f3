//! Where the script stands in the command line of an interpreter.

/// An interpreter and those of its options that say more than they show.
struct Interpreter {
    /// Names without version: `python` stands for python3.13 too.
    names: &'static [&'static str],
    /// One-letter options behind which the program itself stands, or comes from standard input: there is no script.
    code: &'static str,
    /// One-letter options with a value, either attached or the next word.
    value: &'static str,
    /// One-letter options that may have a value attached, and never take the next word.
    attached: &'static str,
    /// One-letter options whose value is the script.
    script: &'static str,
    /// Longer options like `code`.
    code_words: &'static [&'static str],
    /// Longer options whose value is the next word.
    value_words: &'static [&'static str],
    /// Longer options whose value is the script.
    script_words: &'static [&'static str],
}

/// An interpreter with the options that all have in common.
const PLAIN: Interpreter = Interpreter {
    names: &["tclsh", "wish", "Rscript", "guile", "osascript"],
    code: "ce",
    value: "",
    attached: "",
    script: "",
    code_words: &["--eval"],
    value_words: &[],
    script_words: &[],
};

const INTERPRETERS: &[Interpreter] = &[
    Interpreter {
        names: &["python", "pypy"],
        code: "c",
        value: "WXQ",
        script: "m",
        code_words: &[],
        value_words: &["--check-hash-based-pycs"],
        ..PLAIN
    },
    Interpreter {
        names: &["bash", "sh", "dash", "zsh", "ksh", "mksh", "ash", "fish"],
        code: "cs",
        value: "oO",
        code_words: &["--command"],
        value_words: &["--rcfile", "--init-file", "--init-command"],
        ..PLAIN
    },
    Interpreter { names: &["perl"], code: "eE", value: "I", attached: "CDFMVimx", code_words: &[], ..PLAIN },
    Interpreter { names: &["ruby", "jruby"], code: "e", value: "CEIr", attached: "FKTWix", ..PLAIN },
    Interpreter {
        names: &["node", "nodejs"],
        code: "ep",
        value: "Cr",
        code_words: &["--eval", "--print"],
        value_words: &[
            "--conditions",
            "--env-file",
            "--experimental-loader",
            "--import",
            "--loader",
            "--require",
            "--title",
        ],
        ..PLAIN
    },
    Interpreter {
        names: &["php"],
        code: "BERr",
        value: "Scdtz",
        script: "Ff",
        code_words: &["--run", "--process-begin", "--process-code", "--process-end"],
        value_words: &["--define", "--docroot", "--php-ini", "--server", "--zend-extension"],
        script_words: &["--file", "--process-file"],
        ..PLAIN
    },
    Interpreter { names: &["lua", "luajit"], code: "e", value: "l", ..PLAIN },
    Interpreter {
        names: &["java"],
        code: "",
        // Java's options are words behind one dash.
        attached: "DXabcdefghijklmnopqrstuvwxyz",
        code_words: &[],
        value_words: &[
            "-cp",
            "-classpath",
            "--class-path",
            "-p",
            "--module-path",
            "--add-exports",
            "--add-modules",
            "--add-opens",
            "--add-reads",
            "--limit-modules",
            "--upgrade-module-path",
        ],
        script_words: &["-jar", "-m", "--module"],
        ..PLAIN
    },
    PLAIN,
];

/// What one word before the script means for those behind it.
enum Meaning {
    /// No script follows.
    Code,
    /// The next word is this option's value.
    Value,
    /// The next word is the script.
    ScriptNext,
    /// This is the script.
    Script,
    /// Nothing.
    Flag,
}

/// Index of the word that is the script; `None` for programs that are no interpreter and those without a script.
pub(super) fn script(words: &[String]) -> Option<usize> {
    let program = words.first()?;
    let interpreter = INTERPRETERS.iter().find(|interpreter| interpreter.is(program))?;
    let mut index = 1;
    loop {
        match interpreter.meaning(words.get(index)?) {
            Meaning::Code => return None,
            Meaning::Script => return Some(index),
            Meaning::ScriptNext => return Some(index + 1),
            Meaning::Value => index += 2,
            Meaning::Flag => index += 1,
        }
    }
}

impl Interpreter {
    /// Whether a program is this one, by its name without path, version and the dash of a login shell.
    fn is(&self, program: &str) -> bool {
        let name = program.rsplit('/').next().unwrap_or(program).trim_start_matches('-');
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        self.names.contains(&name)
    }

    fn meaning(&self, word: &str) -> Meaning {
        let long = word.split('=').next().unwrap_or(word);
        if word == "--" {
            return Meaning::ScriptNext;
        }
        // One dash alone is the standard input. A value attached to a long option is no word of its own.
        if word == "-" || self.code_words.contains(&long) || self.script_words.contains(&long) && word != long
        {
            return Meaning::Code;
        }
        if self.script_words.contains(&word) {
            return Meaning::ScriptNext;
        }
        if self.value_words.contains(&word) {
            return Meaning::Value;
        }
        if word.starts_with("--") {
            return Meaning::Flag;
        }
        // Shells switch options off with a plus.
        let Some(letters) = word.strip_prefix('-').or_else(|| word.strip_prefix('+')) else {
            return Meaning::Script;
        };
        self.meaning_of_letters(letters)
    }

    /// Reads options of one letter each behind one dash, up to the first with a value.
    fn meaning_of_letters(&self, letters: &str) -> Meaning {
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            let is_last = rest.as_str().is_empty();
            if self.code.contains(letter) || self.script.contains(letter) && !is_last {
                return Meaning::Code;
            }
            if self.script.contains(letter) {
                return Meaning::ScriptNext;
            }
            if self.value.contains(letter) && is_last {
                return Meaning::Value;
            }
            if self.value.contains(letter) || self.attached.contains(letter) {
                return Meaning::Flag;
            }
        }
        Meaning::Flag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_skipped_and_code_is_no_script() {
        let check = |line: &str, expected: Option<&str>| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let found = script(&words).and_then(|index| words.get(index)).map(String::as_str);
            assert_eq!(found, expected, "{line}");
        };
        check("python3 x.py -c y", Some("x.py"));
        check("/usr/bin/python3.11 -u -W ignore -Xdev x.py", Some("x.py"));
        check("python3 -uc code x.py", None);
        check("python3 -m http.server 8000", Some("http.server"));
        check("python3 -", None);
        check("python3", None);
        check("python3 -- x.py", Some("x.py"));
        check("pythonic x.py", None);
        check("vim x.py", None);
        check("-bash x.sh", Some("x.sh"));
        check("bash -lc code x.sh", None);
        check("sh -e x.sh", Some("x.sh"));
        check("bash -o pipefail +x --norc --rcfile rc x.sh", Some("x.sh"));
        check("perl -w -I lib -MCarp=verbose x.pl", Some("x.pl"));
        check("perl -lane code x.pl", None);
        check("perl5.36.0 -Ilib/e x.pl", Some("x.pl"));
        check("ruby -W0 -rset -C /tmp x.rb", Some("x.rb"));
        check("ruby -e code x.rb", None);
        check("node --require ./hook --inspect=0 x.js", Some("x.js"));
        check("node --eval=code x.js", None);
        check("node -pe code", None);
        check("php8.2 -d a=b -c ini x.php", Some("x.php"));
        check("php -f x.php", Some("x.php"));
        check("php -r code", None);
        check("java -Xmx1g -Da.e=c -cp lib.jar:x org.example.Main", Some("org.example.Main"));
        check("java -server -jar /srv/x.jar nogui", Some("/srv/x.jar"));
        check("lua -l mod x.lua", Some("x.lua"));
    }
}
