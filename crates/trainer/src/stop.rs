//! Requests to stop: the first signal ends the run between two steps, with everything saved; the second one ends it at
//! once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::flag;

use crate::exit_code::ExitCode;
use crate::signal::Signal;

/// A signal that the process cannot listen for.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for {}", signal.name())]
pub struct ListenError {
    /// The signal.
    pub signal: Signal,
    /// The system's reason.
    pub source: io::Error,
}

impl ListenError {
    /// The exit code of this error.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::Failed
    }
}

/// Whether the run was asked to stop.
#[derive(Debug, Clone)]
pub(crate) struct StopRequest {
    asked: [(Signal, Arc<AtomicBool>); 2],
}

impl StopRequest {
    /// Listens from now on. A second signal ends the process at once.
    pub(crate) fn listen() -> Result<Self, ListenError> {
        let any = Arc::new(AtomicBool::new(false));
        let request = Self { asked: Signal::ALL.map(|signal| (signal, Arc::default())) };
        for (signal, asked) in &request.asked {
            let number = signal.number();
            let refused = |source| ListenError { signal: *signal, source };
            let code = ExitCode::Interrupted(*signal).number();
            // In this order: the shutdown must not see the flag that this very signal raises.
            flag::register_conditional_shutdown(number, code.into(), any.clone())
                .map_err(refused)?;
            flag::register(number, any.clone()).map_err(refused)?;
            flag::register(number, asked.clone()).map_err(refused)?;
        }
        Ok(request)
    }

    /// The signal that asked, if one did.
    pub(crate) fn received(&self) -> Option<Signal> {
        let (signal, _) = self.asked.iter().find(|(_, asked)| asked.load(Ordering::SeqCst))?;
        Some(*signal)
    }
}
