//! The bits of a scan and the codes that they make (ITU-T T.81, annexes C and F.2.2).

/// Codes up to this length are looked up at once.
const SHORT: u32 = 9;

/// Huffman codes of at most 16 bits.
#[derive(Debug)]
pub(super) struct Table {
    /// Of the next [`SHORT`] bits: the length of their code, 0 where it is longer or there is none, and its value.
    short: [(u8, u8); 1 << SHORT],
    /// The values, shorter codes first.
    values: Vec<u8>,
    /// Of each length: the first code that is too large for it, moved to 16 bits, and the number to add to a code for the
    /// place of its value.
    long: [(u32, i32); 17],
}

impl Table {
    /// Reads a table: the number of codes of each length, then their values. The second result is what follows it.
    pub(super) fn read(content: &[u8]) -> Option<(Self, &[u8])> {
        let (counts, rest) = content.split_at_checked(16)?;
        let count = counts.iter().map(|&count| usize::from(count)).sum();
        let (values, rest) = rest.split_at_checked(count)?;
        let mut table =
            Self { short: [(0, 0); 1 << SHORT], values: values.to_vec(), long: [(0, 0); 17] };
        let (mut code, mut place) = (0_u32, 0_usize);
        for (length, &count) in (1_u32..).zip(counts) {
            let first = place as i32 - code as i32;
            for _ in 0..count {
                if length <= SHORT {
                    let shift = SHORT - length;
                    let range = (code << shift) as usize..((code + 1) << shift) as usize;
                    table.short.get_mut(range)?.fill((length as u8, values[place]));
                }
                (code, place) = (code + 1, place + 1);
            }
            table.long[length as usize] = (code << (16 - length), first);
            code <<= 1;
        }
        Some((table, rest))
    }

    /// The length and the value of the first code of `bits`; `None` where they begin with no code.
    fn next(&self, bits: u64) -> Option<(u32, u8)> {
        let (length, value) = self.short[(bits >> (64 - SHORT)) as usize];
        if length > 0 {
            return Some((u32::from(length), value));
        }
        let bits = (bits >> 48) as u32;
        let length = (SHORT + 1..=16).find(|&length| bits < self.long[length as usize].0)?;
        let place = (bits >> (16 - length)) as i32 + self.long[length as usize].1;
        Some((length, *self.values.get(usize::try_from(place).ok()?)?))
    }
}

/// The bits of a scan's data, the first one first.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// The next bits, moved to the top, and their number.
    buffer: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn of(data: &'a [u8]) -> Self {
        Self { data, at: 0, buffer: 0, count: 0 }
    }

    /// Takes bytes until 33 bits are there at least, or a marker is, or the end. A 0 after an `0xff` belongs to it.
    fn fill(&mut self) {
        if let Some(&next) = self.data.get(self.at..).and_then(<[u8]>::first_chunk::<4>)
            && !next.contains(&0xff)
        {
            self.buffer |= u64::from(u32::from_be_bytes(next)) << (32 - self.count);
            (self.at, self.count) = (self.at + 4, self.count + 32);
            return;
        }
        while self.count <= 32 {
            let Some(&byte) = self.data.get(self.at) else { return };
            if byte == 0xff && self.data.get(self.at + 1) != Some(&0) {
                return;
            }
            self.at += if byte == 0xff { 2 } else { 1 };
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    fn drop(&mut self, count: u32) -> Option<()> {
        self.buffer = self.buffer.unbounded_shl(count);
        self.count = self.count.checked_sub(count)?;
        Some(())
    }

    /// Takes `count` bits; `None` where they are missing, or are more than 16.
    pub(super) fn take(&mut self, count: u8) -> Option<u32> {
        let count = u32::from(count);
        if count > 16 {
            return None;
        }
        if self.count < 32 {
            self.fill();
        }
        let bits = self.buffer.unbounded_shr(64 - count) as u32;
        self.drop(count)?;
        Some(bits)
    }

    /// Takes a code of `table` and gives its value; `None` where bits are missing, or make no code.
    pub(super) fn code(&mut self, table: &Table) -> Option<u8> {
        if self.count < 32 {
            self.fill();
        }
        let (length, value) = table.next(self.buffer)?;
        self.drop(length)?;
        Some(value)
    }

    /// Takes a code of `table`, and the bits after it whose number is the lower half of its value.
    pub(super) fn code_and_bits(&mut self, table: &Table) -> Option<u8> {
        if self.count < 32 {
            self.fill();
        }
        let (length, value) = table.next(self.buffer)?;
        self.drop(length + u32::from(value & 0x0f))?;
        Some(value)
    }

    /// Skips to the first bit after the next restart; `None` where none comes.
    pub(super) fn restart(&mut self) -> Option<()> {
        (self.buffer, self.count) = (0, 0);
        let rest = self.data.get(self.at..)?;
        let pair = rest.windows(2).position(|pair| pair[0] == 0xff && pair[1] & 0xf8 == 0xd0)?;
        self.at += pair + 2;
        Some(())
    }

    /// Whether zeros that the last code took part in follow to the end: a writer fills a place with zeros, and a decoder
    /// takes them for data.
    pub(super) fn end_in_filler(&self) -> bool {
        let read = self.at - (self.count / 8) as usize;
        let rest = &self.data[read.saturating_sub(1)..];
        rest.len() > 2 && rest.iter().all(|&byte| byte == 0)
    }
}
