//! Programs that consist only of their headers.

/// An ELF file of 64 bits.
pub(crate) struct Elf {
    class: u8,
    system: u8,
    kind: u16,
    machine: u16,
    segments: Vec<(u32, Vec<u8>)>,
}

impl Elf {
    /// A static one, for Linux on x86-64.
    pub(crate) fn good() -> Self {
        // PT_LOAD.
        Self { class: 2, system: 0, kind: 2, machine: 62, segments: vec![(1, b"no code".to_vec())] }
    }

    /// 1: 32 bits.
    pub(crate) fn class(self, class: u8) -> Self {
        Self { class, ..self }
    }

    /// 9: FreeBSD.
    pub(crate) fn system(self, system: u8) -> Self {
        Self { system, ..self }
    }

    /// 1: an object file, 3: position-independent.
    pub(crate) fn kind(self, kind: u16) -> Self {
        Self { kind, ..self }
    }

    /// 183: AArch64.
    pub(crate) fn machine(self, machine: u16) -> Self {
        Self { machine, ..self }
    }

    /// 2: dynamic, 3: the interpreter.
    pub(crate) fn segment(mut self, kind: u32, content: &[u8]) -> Self {
        self.segments.push((kind, content.to_vec()));
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let count = u16::try_from(self.segments.len()).unwrap();
        let mut bytes = vec![0x7f, b'E', b'L', b'F', self.class, 1, 1, self.system, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend([self.kind, self.machine].map(u16::to_le_bytes).concat());
        bytes.extend(1_u32.to_le_bytes());
        // Entry, segments' headers, sections' headers.
        bytes.extend([0_u64, 64, 0].map(u64::to_le_bytes).concat());
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend([64_u16, 56, count, 64, 0, 0].map(u16::to_le_bytes).concat());
        let mut offset = 64 + 56 * u64::from(count);
        for (kind, content) in &self.segments {
            let length = content.len() as u64;
            bytes.extend(kind.to_le_bytes());
            bytes.extend(4_u32.to_le_bytes());
            bytes.extend([offset, offset, offset, length, length, 8].map(u64::to_le_bytes).concat());
            offset += length;
        }
        bytes.extend(self.segments.iter().flat_map(|(_, content)| content));
        bytes
    }
}

/// An entry of a dynamic segment; 1: a required library, 4: none.
pub(crate) fn entry(tag: u64, value: u64) -> Vec<u8> {
    [tag, value].map(u64::to_le_bytes).concat()
}
