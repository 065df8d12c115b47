//! Being asked to stop: the first signal ends the run between two steps, with everything saved; the second at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::flag;

use crate::Error;
use crate::signal::Signal;

/// Whether the run was asked to stop.
#[derive(Debug, Clone)]
pub(crate) struct StopRequest {
    asked: [(Signal, Arc<AtomicBool>); 2],
}

impl StopRequest {
    /// Listens from now on. A signal that comes after another one ends the program on the spot.
    pub(crate) fn listen() -> Result<Self, Error> {
        let any = Arc::new(AtomicBool::new(false));
        let request = Self { asked: Signal::ALL.map(|signal| (signal, Arc::default())) };
        for (signal, asked) in &request.asked {
            let number = signal.number();
            let refused =
                |error| Error::Internal(format!("cannot listen for {}: {error}", signal.name()));
            // In this order: the shutdown must not see the flag that this very signal raises.
            flag::register_conditional_shutdown(number, signal.exit_code().into(), any.clone())
                .map_err(refused)?;
            flag::register(number, any.clone()).map_err(refused)?;
            flag::register(number, asked.clone()).map_err(refused)?;
        }
        Ok(request)
    }

    /// Who asked, if somebody did.
    pub(crate) fn received(&self) -> Option<Signal> {
        let (signal, _) = self.asked.iter().find(|(_, asked)| asked.load(Ordering::SeqCst))?;
        Some(*signal)
    }
}
