//! Whether each block of 8 by 8 pixels is coded: a walk through all codes of a JPEG, without its pixels.
//!
//! ITU-T T.81, annexes F.2 (one scan for all frequencies) and G.2 (several, which bring them bit by bit).

use super::huffman::{Bits, Table};
use super::segments::{RESTARTS, SCAN, Segments, TABLES, is_frame};

/// Whether `bytes` code every block of every component to its last bit. Codings that the decoder does not know count as
/// complete.
pub(super) fn are_complete(bytes: &[u8]) -> bool {
    let mut walk = Walk::default();
    for segment in Segments::of(bytes) {
        let Ok(segment) = segment else { return false };
        let content = segment.content;
        let step = match segment.code {
            TABLES => walk.take_tables(content),
            RESTARTS => walk.take_restarts(content),
            SCAN => walk.take_scan(content, segment.data),
            0xc0..=0xc2 => walk.take_frame(segment.code, content),
            code if is_frame(code) => return true,
            _ => Some(()),
        };
        if step.is_none() {
            return false;
        }
    }
    walk.components.iter().all(|component| component.is_coded)
}

#[derive(Debug, Default)]
struct Component {
    id: u8,
    /// Blocks of one unit of all components, across and down.
    unit: [usize; 2],
    /// Blocks of the image, across and down.
    blocks: [usize; 2],
    /// Blocks of a row of units.
    stride: usize,
    is_coded: bool,
    /// Of each block of a progressive image, the frequencies that are not 0.
    known: Vec<u64>,
}

#[derive(Debug, Default)]
struct Walk {
    is_progressive: bool,
    /// Units of all components, across and down.
    units: [usize; 2],
    components: Vec<Component>,
    /// Tables of means and of other frequencies.
    tables: [[Option<Table>; 4]; 2],
    /// Units between two restarts; 0 for none.
    restarts: usize,
}

impl Component {
    /// The numbers of the blocks of the unit at `place`, which is one block where the component is alone in its scan.
    fn blocks_of(
        &self,
        [column, row]: [usize; 2],
        is_alone: bool,
    ) -> impl Iterator<Item = usize> + use<> {
        let [across, down] = if is_alone { [1, 1] } else { self.unit };
        let first = row * down * self.stride + column * across;
        let stride = self.stride;
        (0..across * down).map(move |block| first + block / across * stride + block % across)
    }
}

/// The part of a block that a scan brings.
#[derive(Debug, Clone, Copy)]
struct Band {
    first: u8,
    last: u8,
    is_refinement: bool,
    is_progressive: bool,
}

impl Walk {
    fn take_tables(&mut self, mut content: &[u8]) -> Option<()> {
        while let Some((&place, rest)) = content.split_first() {
            let (table, after) = Table::read(rest)?;
            let of_kind = self.tables.get_mut(usize::from(place >> 4))?;
            *of_kind.get_mut(usize::from(place & 0x0f))? = Some(table);
            content = after;
        }
        Some(())
    }

    fn take_restarts(&mut self, content: &[u8]) -> Option<()> {
        let [high, low] = *content.get(..2)? else { return None };
        self.restarts = usize::from(u16::from_be_bytes([high, low]));
        Some(())
    }

    fn take_frame(&mut self, code: u8, content: &[u8]) -> Option<()> {
        let [_, h0, h1, w0, w1, _, ref components @ ..] = *content else { return None };
        let size = [[w0, w1], [h0, h1]].map(|side| usize::from(u16::from_be_bytes(side)));
        let (components, _) = components.as_chunks::<3>();
        let unit_of = |sampling: u8| [sampling >> 4, sampling & 0x0f].map(usize::from);
        let units = components.iter().map(|[_, sampling, _]| unit_of(*sampling));
        let largest = units.reduce(|a, b| [a[0].max(b[0]), a[1].max(b[1])])?;
        if largest.contains(&0) {
            return None;
        }
        self.is_progressive = code == 0xc2;
        self.units = [0, 1].map(|axis| size[axis].div_ceil(8 * largest[axis]));
        let component = |[id, sampling, _]: &[u8; 3]| {
            let unit = unit_of(*sampling);
            let blocks = [0, 1].map(|axis| (size[axis] * unit[axis]).div_ceil(8 * largest[axis]));
            let stride = self.units[0] * unit[0];
            let known = if self.is_progressive { stride * self.units[1] * unit[1] } else { 0 };
            Component { id: *id, unit, blocks, stride, is_coded: false, known: vec![0; known] }
        };
        self.components = components.iter().map(component).collect();
        Some(())
    }

    /// Walks through the blocks of a scan; `None` where one is missing.
    fn take_scan(&mut self, header: &[u8], data: &[u8]) -> Option<()> {
        let (&count, rest) = header.split_first()?;
        let (of_scan, rest) = rest.split_at_checked(2 * usize::from(count))?;
        let [first, last, bits] = *rest.get(..3)? else { return None };
        let is_progressive = self.is_progressive;
        let [first, last] = if is_progressive { [first, last.min(63)] } else { [0, 63] };
        let is_refinement = is_progressive && bits >> 4 != 0;
        let band = Band { first, last, is_refinement, is_progressive };
        let is_alone = count == 1;
        let tables = &self.tables;
        let mut in_scan = Vec::new();
        for [id, places] in of_scan.as_chunks::<2>().0 {
            let component = self.components.iter().position(|component| component.id == *id)?;
            let table = |kind: usize, place: u8| tables[kind].get(usize::from(place));
            let [means, others] = [table(0, places >> 4)?, table(1, places & 0x0f)?];
            in_scan.push((component, [means.as_ref(), others.as_ref()]));
        }
        // Components that share a scan are coded unit by unit, one alone block by block.
        let units = match (is_alone, in_scan.first()) {
            (true, Some((component, _))) => self.components[*component].blocks,
            _ => self.units,
        };
        let (mut bits, mut run) = (Bits::of(data), 0);
        for unit in 0..units[0] * units[1] {
            if self.restarts > 0 && unit > 0 && unit % self.restarts == 0 {
                bits.restart()?;
                run = 0;
            }
            let place = [unit % units[0], unit / units[0]];
            for (component, tables) in &in_scan {
                let component = &mut self.components[*component];
                for block in component.blocks_of(place, is_alone) {
                    let mut unused = 0;
                    let known = component.known.get_mut(block).unwrap_or(&mut unused);
                    band.take(&mut bits, *tables, &mut run, known)?;
                }
            }
        }
        for (component, _) in in_scan {
            self.components[component].is_coded |= band.first == 0;
        }
        (!bits.end_in_filler()).then_some(())
    }
}

impl Band {
    /// Takes the bits of one block: `run` blocks more have nothing new, and `known` are the frequencies that are not 0.
    fn take(
        self,
        bits: &mut Bits,
        [means, others]: [Option<&Table>; 2],
        run: &mut u32,
        known: &mut u64,
    ) -> Option<()> {
        let mut first = self.first;
        if first == 0 {
            if self.is_refinement {
                return bits.take(1).map(|_| ());
            }
            let size = bits.code(means?)?;
            bits.take(size)?;
            if self.is_progressive || self.last == 0 {
                return Some(());
            }
            first = 1;
        }
        match self.is_refinement {
            true => self.refine(bits, others?, run, known),
            false if *run > 0 => {
                *run -= 1;
                Some(())
            }
            false => self.begin(bits, others?, run, known, first),
        }
    }

    /// The first bits of the frequencies from `first` on.
    fn begin(
        self,
        bits: &mut Bits,
        table: &Table,
        run: &mut u32,
        known: &mut u64,
        first: u8,
    ) -> Option<()> {
        let mut at = first;
        while at <= self.last {
            let code = bits.code_and_bits(table)?;
            let (zeros, size) = (code >> 4, code & 0x0f);
            match (zeros, size) {
                (15, 0) => at += 16,
                (_, 0) => {
                    if self.is_progressive {
                        *run = (1 << zeros) + bits.take(zeros)? - 1;
                    }
                    return Some(());
                }
                _ => {
                    at += zeros;
                    *known |= 1_u64.unbounded_shl(u32::from(at));
                    at += 1;
                }
            }
        }
        Some(())
    }

    /// One more bit of the frequencies that are known, and those that this bit makes known.
    fn refine(self, bits: &mut Bits, table: &Table, run: &mut u32, known: &mut u64) -> Option<()> {
        let mut at = self.first;
        while *run == 0 && at <= self.last {
            let code = bits.code(table)?;
            let (mut zeros, size) = (code >> 4, code & 0x0f);
            if size == 0 && zeros < 15 {
                *run = (1 << zeros) + bits.take(zeros)?;
                break;
            }
            if size > 0 {
                bits.take(1)?;
            }
            while at <= self.last {
                if *known >> at & 1 == 1 {
                    bits.take(1)?;
                } else if zeros == 0 {
                    break;
                } else {
                    zeros -= 1;
                }
                at += 1;
            }
            if size > 0 && at <= self.last {
                *known |= 1 << at;
            }
            at += 1;
        }
        if *run > 0 {
            *run -= 1;
            let rest = (at..=self.last).filter(|&at| *known >> at & 1 == 1).count();
            for _ in 0..rest {
                bits.take(1)?;
            }
        }
        Some(())
    }
}
