//! What every request of ours has in common: one connection each, small answers, no secret in a text.

use std::{error::Error, net::IpAddr};

use reqwest::{Client, ClientBuilder, Response, Url, redirect, retry};

/// Why an answer was not read to its end.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It is longer than allowed; the rest was not fetched.
    TooLong,
    /// The connection failed.
    Failed(reqwest::Error),
}

/// A client for one server that keeps no connection, follows nowhere, and sends every request once.
///
/// Proxies are taken from the environment, as other programs do, but never for this machine itself: a bridge on
/// `localhost` is not the proxy's.
pub(crate) fn builder(url: &Url) -> ClientBuilder {
    let builder = Client::builder()
        .http1_only()
        .pool_max_idle_per_host(0)
        .retry(retry::never())
        .redirect(redirect::Policy::none())
        .referer(false);
    if is_loopback(url) { builder.no_proxy() } else { builder }
}

/// Reads an answer of at most so many bytes, piece by piece, and stops at the first byte beyond.
pub(crate) async fn read(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Unread::Failed)? {
        if body.len().saturating_add(chunk.len()) > bytes_max {
            return Err(Unread::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What lies at the bottom of an error, in the system's words. The layers above it name the address, which may hold
/// a password.
pub(crate) fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_asked_past_the_proxy() {
        let check = |url: &str, expected| assert_eq!(is_loopback(&url.parse().unwrap()), expected, "{url}");
        check("http://localhost:8003/", true);
        check("http://127.8.0.1/", true);
        check("http://[::1]:8003/", true);
        check("http://localhost.example.org/", false);
        check("http://192.0.2.1/", false);
    }
}
