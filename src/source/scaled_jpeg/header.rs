//! What stands before the scan of a baseline JPEG.

use super::huffman::{Skips, Table};

/// One colour plane.
#[derive(Clone, Copy)]
pub(super) struct Component {
    id: u8,
    pub across: usize, // sampling factors
    pub down: usize,
    pub quantization: usize,
    pub dc: usize, // Huffman tables
    pub ac: usize,
}

/// The header of a JPEG of a kind that is decoded here: sequential, Huffman, 8 bits, grey or YCbCr, chroma of the luma's size
/// or half of it.
#[derive(Default)]
pub(super) struct Header<'a> {
    pub width: usize,
    pub height: usize,
    pub components: Vec<Component>,
    pub quantization: [Option<[i32; 64]>; 4], // in zigzag order
    pub dc: [Option<Box<Table>>; 4],
    pub ac: [Option<Box<(Table, Skips)>>; 4],
    pub restart_interval: usize,
    /// The EXIF segment's content.
    pub exif: Option<&'a [u8]>,
    is_jfif: bool,
    adobe_transform: Option<u8>,
}

const EXIF: &[u8] = b"Exif\0\0";

impl<'a> Header<'a> {
    /// Reads up to the scan, and gives its data; `None` if the JPEG is of another kind or damaged.
    pub fn parse(file: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut header = Self::default();
        let mut rest = file.strip_prefix(&[0xFF, 0xD8])?;
        loop {
            let [0xFF, marker, length @ ..] = rest else { return None };
            let len = usize::from(u16::from_be_bytes(*length.first_chunk()?));
            let content = length.get(2..len)?;
            rest = &length[len..];
            match marker {
                0xC0 | 0xC1 => header.frame(content)?,
                0xC4 => header.huffman_tables(content)?,
                0xDB => header.quantization_tables(content)?,
                0xDD => header.restart_interval = usize::from(u16::from_be_bytes(content.try_into().ok()?)),
                0xDA => return header.scan(content).map(|()| (header, rest)),
                0xE0..=0xEF => header.application(*marker, content)?,
                0xFE => {}
                _ => return None,
            }
        }
    }

    /// A second EXIF segment is left to those who know which one counts.
    fn application(&mut self, marker: u8, content: &'a [u8]) -> Option<()> {
        match marker {
            0xE0 => self.is_jfif |= content.starts_with(b"JFIF\0"),
            0xE1 => {
                if let Some(exif) = content.strip_prefix(EXIF) {
                    return self.exif.replace(exif).is_none().then_some(());
                }
            }
            0xEE if content.starts_with(b"Adobe") => self.adobe_transform = Some(*content.get(11)?),
            _ => {}
        }
        Some(())
    }

    fn frame(&mut self, content: &[u8]) -> Option<()> {
        let [8, height_high, height_low, width_high, width_low, count, components @ ..] = content else { return None };
        self.height = usize::from(u16::from_be_bytes([*height_high, *height_low]));
        self.width = usize::from(u16::from_be_bytes([*width_high, *width_low]));
        let is_known = self.components.is_empty() && self.width > 0 && self.height > 0 && matches!(count, 1 | 3);
        if !is_known || components.len() != usize::from(*count) * 3 {
            return None;
        }
        for component in components.chunks_exact(3) {
            let (across, down) = (usize::from(component[1] >> 4), usize::from(component[1] & 15));
            let quantization = usize::from(component[2]);
            if !matches!((across, down), (1 | 2, 1 | 2)) || quantization > 3 {
                return None;
            }
            self.components.push(Component { id: component[0], across, down, quantization, dc: 0, ac: 0 });
        }
        match &mut self.components[..] {
            // A scan of one component has no interleaving, whatever its factors say.
            [grey] => (grey.across, grey.down) = (1, 1),
            [luma, chroma @ ..] if chroma.iter().any(|c| c.across > luma.across || c.down > luma.down) => return None,
            _ => {}
        }
        Some(())
    }

    fn quantization_tables(&mut self, mut content: &[u8]) -> Option<()> {
        while let [kind, rest @ ..] = content {
            let bytes = match kind >> 4 {
                0 => 1,
                1 => 2,
                _ => return None,
            };
            let (values, rest) = rest.split_at_checked(64 * bytes)?;
            let mut table = [0; 64];
            for (entry, value) in table.iter_mut().zip(values.chunks_exact(bytes)) {
                *entry = value.iter().fold(0, |all, byte| all << 8 | i32::from(*byte));
            }
            *self.quantization.get_mut(usize::from(kind & 15))? = Some(table);
            content = rest;
        }
        Some(())
    }

    fn huffman_tables(&mut self, mut content: &[u8]) -> Option<()> {
        while let [kind, rest @ ..] = content {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let (symbols, rest) = rest.split_at_checked(counts.iter().map(|count| usize::from(*count)).sum())?;
            let table = Table::new(counts, symbols)?;
            let number = usize::from(kind & 15);
            match kind >> 4 {
                0 if symbols.iter().all(is_dc) => *self.dc.get_mut(number)? = Some(Box::new(table)),
                1 if symbols.iter().all(is_ac) => {
                    let skips = Skips::new(&table);
                    *self.ac.get_mut(number)? = Some(Box::new((table, skips)));
                }
                _ => return None,
            }
            content = rest;
        }
        Some(())
    }

    /// One scan of all components, in order and whole, is what baseline encoders write.
    fn scan(&mut self, content: &[u8]) -> Option<()> {
        let [count, rest @ ..] = content else { return None };
        let (choices, [0, 63, 0]) = rest.split_at_checked(usize::from(*count) * 2)? else { return None };
        if self.components.is_empty() || usize::from(*count) != self.components.len() {
            return None;
        }
        for (component, choice) in self.components.iter_mut().zip(choices.chunks_exact(2)) {
            (component.dc, component.ac) = (usize::from(choice[1] >> 4), usize::from(choice[1] & 15));
            let has_tables = self.dc.get(component.dc)?.is_some() && self.ac.get(component.ac)?.is_some();
            if choice[0] != component.id || !has_tables || self.quantization[component.quantization].is_none() {
                return None;
            }
        }
        let is_ycbcr = match self.adobe_transform {
            Some(transform) => transform == 1,
            None => self.is_jfif || self.components[0].id <= 1,
        };
        (is_ycbcr || self.components.len() == 1).then_some(())
    }
}

/// Sizes of differences of 8-bit samples (T.81, table F.1).
fn is_dc(symbol: &u8) -> bool {
    *symbol <= 11
}

/// Runs and sizes of 8-bit samples (T.81, table F.2), the end of a block and sixteen zeros.
fn is_ac(symbol: &u8) -> bool {
    matches!(symbol, 0x00 | 0xF0) || matches!(symbol & 15, 1..=10)
}
