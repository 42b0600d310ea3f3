//! The public address, as a service out there sees it.

use std::{net::IpAddr, time::Duration};

use reqwest::{StatusCode, Url, redirect};

use crate::transport::http;

/// How long the service is waited for, all in all: the owner waits for the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer that is read, in bytes: an IPv6 address has 45 at most, the rest is blanks.
const ANSWER_BYTES: usize = 64;
/// Redirects that are followed: to https, and to another host.
const REDIRECTS: usize = 2;

/// Why the public address is not known; each text is for the person who asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There was no connection.
    #[error("the address service cannot be reached: {0}")]
    Unreachable(String),
    /// Nothing, or not all, came in time.
    #[error("the address service did not answer within {} s", .0.as_secs_f32())]
    NoAnswer(Duration),
    /// The connection broke.
    #[error("the address service broke off before answering")]
    Lost,
    /// It answered with another status than 200.
    #[error("the address service answered {0}")]
    Refused(u16),
    /// It answered 200 and something else.
    #[error("the address service answered something that is no address")]
    NoAddress,
}

/// Asks a service that answers with the address alone. Needs a rustls provider to be installed in the process.
///
/// # Errors
/// [`AddressError`] after 5 s at the latest.
pub async fn fetch(url: &str) -> Result<IpAddr, AddressError> {
    fetch_within(url, TIMEOUT).await
}

/// The client lives for this one question, which comes rarely: kept, it would hold the system's certificates.
async fn fetch_within(url: &str, timeout: Duration) -> Result<IpAddr, AddressError> {
    let failed = |error: reqwest::Error| {
        if error.is_timeout() {
            return AddressError::NoAnswer(timeout);
        }
        if error.is_connect() || error.is_builder() {
            return AddressError::Unreachable(http::reason(error));
        }
        AddressError::Lost
    };
    let url = Url::parse(url).map_err(|_| {
        AddressError::Unreachable("`public_address.url` is no http or https address".to_owned())
    })?;
    let builder = http::builder(&url).timeout(timeout).redirect(redirect::Policy::limited(REDIRECTS));
    let response = builder.build().map_err(failed)?.get(url).send().await.map_err(failed)?;
    if response.status() != StatusCode::OK {
        return Err(AddressError::Refused(response.status().as_u16()));
    }
    let body = http::read(response, ANSWER_BYTES).await.map_err(|unread| match unread {
        http::Unread::TooLong => AddressError::NoAddress,
        http::Unread::Failed(error) => failed(error),
    })?;
    let text = str::from_utf8(&body).map_err(|_| AddressError::NoAddress)?;
    text.trim().parse().map_err(|_| AddressError::NoAddress)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    use super::*;

    /// Asks a server that gives each connection the next of these answers, then holds what it was not asked for.
    fn ask(answers: &'static [&'static str]) -> Result<IpAddr, AddressError> {
        // Fails where another test of this process was first, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let mut held = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let read = stream.read(&mut [0; 4096]).unwrap();
                assert!(read > 0);
                // The client may have gone after it read enough.
                let _ = stream.write_all(answer.as_bytes());
                if answer.is_empty() {
                    held.push(stream);
                }
            }
            held
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let result = runtime.block_on(fetch_within(&url, Duration::from_millis(300)));
        drop(server.join().unwrap());
        result
    }

    /// Defect 7 of the original: a service that answered 500, or hung, crashed or froze it.
    #[test]
    fn the_answer_is_an_address_or_says_in_a_few_words_why_not() {
        let check = |answers, expected: &str| {
            let said = match ask(answers) {
                Ok(address) => address.to_string(),
                Err(error) => error.to_string(),
            };
            assert_eq!(said, expected);
        };
        check(&["HTTP/1.0 200 OK\r\n\r\n192.0.2.7"], "192.0.2.7");
        check(&["HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n 2001:db8::7\n\n"], "2001:db8::7");
        check(
            &["HTTP/1.0 302 Found\r\nLocation: /a\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n192.0.2.8\n"],
            "192.0.2.8",
        );
        check(&["HTTP/1.0 500 Oops\r\n\r\n192.0.2.7"], "the address service answered 500");
        let no_address = "the address service answered something that is no address";
        check(&["HTTP/1.0 200 OK\r\n\r\n<html>192.0.2.7</html>"], no_address);
        check(&["HTTP/1.0 200 OK\r\n\r\n"], no_address);
        check(
            &["HTTP/1.0 200 OK\r\n\r\n192.0.2.7                                                         ."],
            no_address,
        );
        check(&[""], "the address service did not answer within 0.3 s");
        check(
            &["HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\n192"],
            "the address service broke off before answering",
        );
    }

    #[test]
    fn a_service_that_is_not_there_is_said_to_be_so() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(fetch(&format!("http://127.0.0.1:{port}/"))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the address service cannot be reached: Connection refused (os error 111)"
        );
    }
}
