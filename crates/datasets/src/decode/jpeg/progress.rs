//! The bits that the scans of a progressive JPEG bring, by their headers: a file that is cut between two of them lacks some.

/// The frequencies that the scans of a progressive image have brought so far.
#[derive(Debug)]
pub(super) struct Progress {
    /// Of each component: its number, and the lowest bit that is known of each of the 64 frequencies; `None` for no bit.
    components: Vec<(u8, [Option<u8>; 64])>,
}

impl Progress {
    /// The components of a frame whose marker is `code`; `None` where it is not progressive.
    pub(super) fn of_frame(code: u8, content: &[u8]) -> Option<Self> {
        if ![0xc2, 0xca].contains(&code) {
            return None;
        }
        let (components, _) = content.get(6..)?.as_chunks::<3>();
        Some(Self { components: components.iter().map(|[id, ..]| (*id, [None; 64])).collect() })
    }

    /// Takes down what a scan with this header brings.
    pub(super) fn add_scan(&mut self, header: &[u8]) {
        let Some((count, rest)) = header.split_first() else { return };
        let Some((of_scan, [first, last, bits])) = rest
            .split_at_checked(2 * usize::from(*count))
            .filter(|(_, rest)| rest.len() >= 3)
            .map(|(of_scan, rest)| (of_scan, [rest[0], rest[1], rest[2]]))
        else {
            return;
        };
        let (of_scan, _) = of_scan.as_chunks::<2>();
        for (id, known) in &mut self.components {
            if of_scan.iter().any(|[other, _]| other == id) {
                let range = usize::from(first)..usize::from(last.min(63)) + 1;
                known.get_mut(range).unwrap_or_default().fill(Some(bits & 0x0f));
            }
        }
    }

    /// Whether every frequency that was begun is known to its last bit, all of them in the first component, which is the
    /// brightness, and the means in the others. An encoder may leave out fine colours.
    pub(super) fn is_complete(&self) -> bool {
        let is_known = |(component, (_, known)): (usize, &(u8, [Option<u8>; 64]))| {
            let begun = if component == 0 { &known[..] } else { &known[..1] };
            begun.iter().all(Option::is_some) && known.iter().flatten().all(|&lowest| lowest == 0)
        };
        self.components.iter().enumerate().all(is_known)
    }
}
