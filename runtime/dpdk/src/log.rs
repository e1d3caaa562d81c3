//! Captures what DPDK logs.
//!
//! DPDK explains a failure in its log and returns little more than a number. The log is therefore redirected before
//! the EAL starts: the last lines are kept so that errors can quote those that were written while they arose, and each
//! line is offered to a sink of the program's choice. Nothing goes to stderr. Lines of two threads that fail at the
//! same moment may appear in each other's error.

use std::collections::VecDeque;
use std::ffi::{c_char, c_void};
use std::slice;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// Lines kept for errors to quote.
const KEPT_LINES: usize = 64;
/// Bytes of a line that are kept; the rest is dropped.
const LINE_LIMIT: usize = 1024;

/// The severity DPDK gave a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// An error or worse.
    Error,
    /// A warning.
    Warning,
    /// Normal but significant, and informational lines.
    Info,
    /// For debugging DPDK.
    Debug,
}

impl LogLevel {
    fn of_current_message() -> Self {
        // SAFETY: reads a thread-local variable that the logging call under way has set.
        match unsafe { dpdk_sys::rte_log_cur_msg_loglevel() } {
            level if level <= dpdk_sys::RTE_LOG_ERR as i32 => Self::Error,
            level if level == dpdk_sys::RTE_LOG_WARNING as i32 => Self::Warning,
            level if level <= dpdk_sys::RTE_LOG_INFO as i32 => Self::Info,
            _ => Self::Debug,
        }
    }
}

/// Receives each complete line. Must not call into DPDK.
type Sink = fn(LogLevel, &str);

struct Capture {
    /// The number of the next line.
    next: u64,
    lines: VecDeque<String>,
    partial: String,
    sink: Option<Sink>,
}

static CAPTURE: Mutex<Capture> =
    Mutex::new(Capture { next: 0, lines: VecDeque::new(), partial: String::new(), sink: None });

fn capture() -> MutexGuard<'static, Capture> {
    CAPTURE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands every line that DPDK logs from now on to `sink`, which must not call into DPDK.
pub fn set_log_sink(sink: fn(LogLevel, &str)) {
    capture().sink = Some(sink);
}

/// A point in the log, to quote from later.
#[derive(Clone, Copy)]
pub(crate) struct Mark(u64);

/// The current end of the log.
pub(crate) fn mark() -> Mark {
    Mark(capture().next)
}

/// The lines logged since `mark`, at most the last few dozen, separated by "; ".
pub(crate) fn since(mark: Mark) -> String {
    let capture = capture();
    let new = usize::try_from(capture.next - mark.0).unwrap_or(usize::MAX).min(capture.lines.len());
    let lines: Vec<&str> = capture
        .lines
        .range(capture.lines.len() - new..)
        .map(|line| line.trim())
        .filter(|line| !line.is_empty())
        .collect();
    if lines.is_empty() { String::from("(nothing logged)") } else { lines.join("; ") }
}

/// Redirects the log of DPDK here. Later calls change nothing.
pub(crate) fn redirect() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: `write_line` has the signature of a stream's write function and lives for ever, so does the stream,
        // which is never closed. Without a stream (no memory) the log stays on stderr.
        unsafe {
            let stream = dpdk_sys::shim_log_stream(Some(write_line));
            if !stream.is_null() {
                dpdk_sys::rte_openlog_stream(stream);
            }
        }
    });
}

/// The write function of the log's stream.
unsafe extern "C" fn write_line(_cookie: *mut c_void, text: *const c_char, len: usize) -> isize {
    if !text.is_null() {
        // SAFETY: the C library passes `len` readable bytes.
        let bytes = unsafe { slice::from_raw_parts(text.cast::<u8>(), len) };
        append(LogLevel::of_current_message(), &String::from_utf8_lossy(bytes));
    }
    isize::try_from(len).unwrap_or(isize::MAX)
}

fn append(level: LogLevel, text: &str) {
    let mut capture = capture();
    for piece in text.split_inclusive('\n') {
        let room = LINE_LIMIT.saturating_sub(capture.partial.len());
        capture.partial.extend(piece.trim_end_matches('\n').chars().take(room));
        if piece.ends_with('\n') {
            let line = std::mem::take(&mut capture.partial);
            if let Some(sink) = capture.sink {
                sink(level, &line);
            }
            if capture.lines.len() == KEPT_LINES {
                capture.lines.pop_front();
            }
            capture.lines.push_back(line);
            capture.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_quotes_only_the_lines_since_its_mark() {
        append(LogLevel::Info, "before\n");
        let start = mark();
        assert_eq!(since(start), "(nothing logged)");
        append(LogLevel::Error, "first ha");
        append(LogLevel::Error, "lf\nsecond\n\n");
        assert_eq!(since(start), "first half; second");
        for _ in 0..2 * KEPT_LINES {
            append(LogLevel::Info, "more\n");
        }
        assert_eq!(since(start).split("; ").count(), KEPT_LINES);
    }
}
