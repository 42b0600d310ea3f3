//! Ways in for the fuzz targets of `fuzz/`, which see what is private here. Only with the feature `fuzzing`.

use std::os::unix::net::UnixStream;

use systembot_model::{Record, State, Timestamp};

use crate::{
    catalogue::Entry,
    chunk::{Block, Decoder, Header, Origin, Rows, Wanted, chunks, rollup},
    codec,
    error::Error,
    hot,
    log::Log,
    query::{Request, Row},
    remote::{Client, RemoteError, accept},
    view::Sealed,
};

/// Ticks as rows: moment, and a value or none for each series.
pub type Ticks = Vec<(i64, Vec<Option<f64>>)>;

/// Takes bytes as a frame, and as the payload of a good one, of everything that the log keeps in frames. A record
/// that is read comes back the same from its own bytes.
///
/// # Errors
/// What is not the same.
pub fn frame(bytes: &[u8]) -> Result<(), String> {
    let framed = framed(bytes);
    for frame in [bytes, &framed] {
        drop(codec::frame_bytes(frame));
        drop(codec::payload(frame));
        drop(codec::decode::<Entry>(frame));
        drop(codec::decode::<Sealed>(frame));
        drop(codec::decode::<State>(frame));
        hot::decode(frame);
        if let Ok(record) = codec::decode::<Record>(frame) {
            let again = codec::encode(&record).map_err(|error| error.to_string())?;
            let back: Record = codec::decode(&again).map_err(|error| error.to_string())?;
            if codec::encode(&back).map_err(|error| error.to_string())? != again {
                return Err(format!("{record:?} became {back:?}"));
            }
        }
    }
    Ok(())
}

/// Takes bytes as a chunk and as a sheet of roll-ups, and as the payload of a good frame, and decodes all of it.
pub fn chunk(bytes: &[u8]) {
    let framed = framed(bytes);
    for frame in [bytes, &framed] {
        drop(decoded(frame));
        if let Ok((head, body)) = rollup::Head::read(frame) {
            drop(rollup::read(&head, body));
        }
    }
}

/// The payloads of all chunks and of all sheets of roll-ups that a log has.
#[must_use]
pub fn payloads(log: &Log) -> Vec<Vec<u8>> {
    let Ok(store) = log.store() else { return Vec::new() };
    let trees = [&store.trees().chunk, &store.trees().rollup];
    let values = trees.into_iter().flat_map(|tree| tree.iter().filter_map(Result::ok));
    values.filter_map(|(_, value)| codec::payload(&value).ok().map(<[u8]>::to_vec)).collect()
}

/// Encodes ticks of series with so many decimals, and gives what comes back: the same, bit for bit.
///
/// # Errors
/// What encoding or decoding says.
pub fn round_trip(ticks: &Ticks, decimals: &[u8]) -> Result<Ticks, Error> {
    let series = (0..).zip(decimals.iter().copied()).collect();
    let mut rows = Rows::new(Origin::Live, 0, series);
    for (seq, (at, values)) in (1..).zip(ticks) {
        let cells = (0..).zip(values).filter_map(|(id, value)| Some((id, (*value)?)));
        rows.push(Timestamp::from_ms(*at), seq, cells);
    }
    let mut back = Ticks::new();
    for (_, chunk) in chunks(&rows)? {
        for (at, cells) in decoded(&chunk)? {
            let mut values = vec![None; decimals.len()];
            for (id, value) in cells {
                if let Some(place) = usize::try_from(id).ok().and_then(|id| values.get_mut(id)) {
                    *place = Some(value);
                }
            }
            back.push((at.as_ms(), values));
        }
    }
    Ok(back)
}

/// What the daemon takes from a connection: its questions, until they end or are none.
///
/// # Errors
/// As of the daemon's side of the control socket.
pub fn requests(stream: &mut UnixStream) -> Result<Vec<Request>, RemoteError> {
    let mut connection = accept(stream)?;
    let mut requests = Vec::new();
    while let Some(request) = connection.read_request()? {
        requests.push(request);
    }
    Ok(requests)
}

/// What a client takes from a connection as the answer to a question.
///
/// # Errors
/// As of the asking side of the control socket.
pub fn rows(stream: UnixStream) -> Result<Vec<Row>, RemoteError> {
    let mut rows = Vec::new();
    Client::over(stream)?.ask(&Request::Status, &mut |row| {
        rows.push(row);
        Ok(())
    })?;
    Ok(rows)
}

/// A question as it stands on the control socket, without its length.
#[must_use]
pub fn request_bytes(request: &Request) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A question that cannot be written is an empty one here.
    drop(codec::to_bytes(request, &mut bytes));
    bytes
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut frame = codec::begin();
    frame.extend_from_slice(bytes);
    codec::finish(frame).unwrap_or_default()
}

type Decoded = Vec<(Timestamp, Vec<(u32, f64)>)>;

fn decoded(chunk: &[u8]) -> Result<Decoded, Error> {
    let (header, body) = Header::read(chunk)?;
    let wanted: Vec<Wanted> = header.columns.iter().map(|column| Wanted::new(column.id, column.id)).collect();
    let (mut decoder, mut block) = (Decoder::default(), Block::default());
    decoder.times(&header, body, &mut block)?;
    decoder.seqs(&header, body, &mut block)?;
    decoder.columns(&header, body, &wanted, &mut block)?;
    let mut ticks = Vec::new();
    while let Some((at, _)) = block.head() {
        let mut cells = Vec::new();
        block.take(&mut cells);
        ticks.push((at, cells));
    }
    Ok(ticks)
}
