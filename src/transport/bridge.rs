//! The HTTP message bridge: `GET /<name>` pops a command, `PUT /replies` queues a reply for the owner.
//!
//! It speaks HTTP/1.0 and serves one connection at a time, so each request has a connection of its own that is
//! closed at once, and short time limits. It reads a reply as ASCII (a raw UTF-8 letter is answered 500 and the
//! reply is lost), and a character that XML forbids, or a text beyond 256 KiB, breaks its link to the owner for
//! good though it answers 200. Hence the escapes, the filter and the limit in [`Bridge::reply`]. The type that its
//! answers claim to have is a slip (`Content-Type:: application/json`) and is not looked at.

use std::{fmt, time::Duration};

use reqwest::{
    Client, StatusCode, Url,
    header::{CONNECTION, CONTENT_TYPE},
};
use serde_json::{Value, json};
use systembot_model::{Address, outbox};

use super::{Failure, Transport, http};

/// Longest answer that is read, in bytes. A command is some twenty; the bridge has no limit of its own.
const ANSWER_BYTES: usize = 64 * 1024;
/// What the bridge says when its queue is empty.
const EMPTY: &str = "no commands";

/// A connection's worth of settings for one bridge and one queue.
pub struct Bridge {
    /// Made with the first request that can be.
    client: Option<Client>,
    queue: Url,
    replies: Url,
    name: String,
    timeouts: Timeouts,
}

/// How long the bridge is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Until there is a connection, name lookup included.
    pub connect: Duration,
    /// Until a whole request is answered.
    pub total: Duration,
}

impl Default for Timeouts {
    /// 5 s and 10 s: a bridge that serves one connection at a time may be busy with another's for a while.
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(10) }
    }
}

impl Bridge {
    /// The bridge at an address ending in a slash, which may hold `user:password@`, and the queue of that name.
    /// Needs a rustls provider to be installed in the process.
    ///
    /// # Errors
    /// [`Failure::Unreachable`] when the address is none.
    pub fn new(url: &str, name: &str, timeouts: Timeouts) -> Result<Self, Failure> {
        let no_url = |_| Failure::Unreachable("`bridge.url` is no http or https address".to_owned());
        let queue = Url::parse(&format!("{url}{name}")).map_err(no_url)?;
        let replies = Url::parse(&format!("{url}replies")).map_err(no_url)?;
        Ok(Self { client: None, queue, replies, name: name.to_owned(), timeouts })
    }

    /// The client; where there is none yet, the system's certificates are read. They may be missing today and there
    /// tomorrow, like the bridge itself.
    fn client(&mut self) -> Result<Client, Failure> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let builder =
            http::builder(&self.queue).connect_timeout(self.timeouts.connect).timeout(self.timeouts.total);
        // Without https no certificate is asked for; reading the system's costs megabytes of memory.
        let builder = if self.queue.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
        let client = builder.build().map_err(|error| Failure::Unreachable(http::reason(error)))?;
        self.client = Some(client.clone());
        Ok(client)
    }

    fn failure(&self, error: reqwest::Error) -> Failure {
        if error.is_connect() {
            return Failure::Unreachable(match error.is_timeout() {
                true => format!("no connection within {} s", self.timeouts.connect.as_secs_f32()),
                false => http::reason(error),
            });
        }
        if error.is_builder() {
            return Failure::Unreachable(http::reason(error));
        }
        if error.is_timeout() {
            return Failure::NoAnswer(self.timeouts.total);
        }
        Failure::Lost(http::reason(error))
    }

    fn unread(&self, unread: http::Unread) -> Failure {
        match unread {
            http::Unread::TooLong => Failure::Garbled,
            http::Unread::Failed(error) => self.failure(error),
        }
    }
}

impl Transport for Bridge {
    fn address(&self) -> Address {
        Address::bridge()
    }

    async fn poll(&mut self) -> Result<Option<String>, Failure> {
        let request = self.client()?.get(self.queue.clone()).header(CONNECTION, "close");
        let response = request.send().await.map_err(|error| self.failure(error))?;
        let status = response.status();
        if status != StatusCode::OK && status != StatusCode::NOT_FOUND {
            return Err(Failure::PollRefused(status.as_u16()));
        }
        let body = http::read(response, ANSWER_BYTES).await;
        if status == StatusCode::NOT_FOUND {
            // `{"<name>": "not found"}` is the bridge's own word; any other 404 is another server's, or a wrong path.
            let answer = body.ok().and_then(|body| serde_json::from_slice::<Value>(&body).ok());
            let is_unknown = answer.is_some_and(|answer| answer.get(&self.name).is_some());
            return Err(match is_unknown {
                true => Failure::UnknownName(self.name.clone()),
                false => Failure::PollRefused(status.as_u16()),
            });
        }
        let body = body.map_err(|unread| self.unread(unread))?;
        let answer: Value = serde_json::from_slice(&body).map_err(|_| Failure::Garbled)?;
        let command = answer.get("command").and_then(Value::as_str).ok_or(Failure::Garbled)?;
        Ok((!command.is_empty() && command != EMPTY).then(|| command.to_owned()))
    }

    async fn reply(&mut self, text: &str) -> Result<(), Failure> {
        let request = self
            .client()?
            .put(self.replies.clone())
            .header(CONNECTION, "close")
            .header(CONTENT_TYPE, "application/json")
            .body(body(&self.name, text));
        let response = request.send().await.map_err(|error| self.failure(error))?;
        let status = response.status();
        if !status.is_success() {
            return Err(Failure::ReplyRefused(status.as_u16()));
        }
        // Only 200 and nothing more is the bridge's "queued". Another 2xx, or a page, is not; but as something did
        // take the request, it may have arrived.
        let said = http::read(response, 0).await.map_err(|unread| self.unread(unread))?;
        if status == StatusCode::OK && said.is_empty() { Ok(()) } else { Err(Failure::Garbled) }
    }
}

impl fmt::Debug for Bridge {
    /// Without the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The JSON of a reply, in ASCII throughout: characters beyond are escaped, as surrogate pairs where need be.
fn body(name: &str, text: &str) -> String {
    let legal: String = text.chars().filter(|c| is_legal(*c)).collect();
    let json = json!({ "name": name, "reply": outbox::fit(&legal) }).to_string();
    let mut ascii = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            ascii.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            ascii.push_str(&format!("\\u{unit:04x}"));
        }
    }
    ascii
}

/// Whether a character may stand in XML 1.0 ("Char"), and is none of Unicode's noncharacters.
fn is_legal(c: char) -> bool {
    let is_control = c < ' ' && !matches!(c, '\t' | '\n' | '\r');
    let is_noncharacter = matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe;
    !is_control && !is_noncharacter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_ascii_and_holds_nothing_that_xml_forbids() {
        let check = |text: &str, expected: &str| {
            assert_eq!(body("bot", text), format!("{{\"name\":\"bot\",\"reply\":\"{expected}\"}}"));
        };
        check("load 0.5", "load 0.5");
        check("21 °C", "21 \\u00b0C");
        check("€ 😀", "\\u20ac \\ud83d\\ude00");
        check("a\tb\r\nc \"d\" \\", "a\\tb\\r\\nc \\\"d\\\" \\\\");
        check("\0a\x07b\x1bc\u{fffe}d\u{ffff}e\u{fdd0}f\u{1fffe}g\u{10ffff}", "abcdefg");
        check("\u{7f}\u{85}\u{d7ff}\u{e000}\u{fffd}", "\u{7f}\\u0085\\ud7ff\\ue000\\ufffd");
        check("", "");
    }

    #[test]
    fn a_body_is_cut_by_the_bytes_that_the_owner_gets() {
        let value: Value = serde_json::from_str(&body("bot", &"é\0".repeat(9_000))).unwrap();
        let reply = value["reply"].as_str().unwrap();
        assert!((5_990..=6_000).contains(&reply.len()), "{} bytes", reply.len());
        assert!(reply.ends_with(outbox::CUT));
    }
}
