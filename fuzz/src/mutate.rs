//! Changes inputs, in ways that are drawn from a number.
//!
//! Some changes are of bytes, as a noisy line or an attacker without a plan would make them. Others keep DER
//! whole: an element is changed and the lengths around it are set right, so that more than the first check
//! gets to see it.

use base::Entropy;

use crate::resign::{element, split};

/// The longest input that is made.
const BYTES_MAX: usize = 16 * 1024;
/// How deep elements are looked into.
const DEPTH_MAX: usize = 16;
/// How often an element is put around others at most.
const NESTING_MAX: u64 = 1_200;

/// Makes inputs out of examples.
pub struct Mutator {
    entropy: Entropy,
    seeds: Vec<Vec<u8>>,
}

impl Mutator {
    /// From `seeds`, of which there is at least one, and the number that everything is drawn from.
    #[must_use]
    pub fn new(seeds: Vec<Vec<u8>>, number: u64) -> Self {
        Self { entropy: Entropy::seeded(number), seeds }
    }

    /// The next input: an example with one to three changes, of elements, of bytes, or of both.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.seed().to_vec();
        let (whole, broken) = [(1, 0), (1, 1), (0, 1)][self.below(3)];
        for _ in 0..=self.below(3) {
            input = if self.below(whole + broken) < whole {
                self.change_element(&input)
            } else {
                self.change_bytes(input)
            };
            input.truncate(BYTES_MAX);
        }
        input
    }

    fn below(&self, end: usize) -> usize {
        (self.entropy.number() % end.max(1) as u64) as usize
    }

    fn byte(&self) -> u8 {
        // Ends of ranges, tags, lengths without an end, and signs that texts are made of.
        const TELLING: &[u8] = &[
            0, 1, 0x7f, 0x80, 0x81, 0x84, 0xff, 0x1f, 0x30, 0x31, 0x02, 0x03, 0x04, 0x06, 0xa0, b'"', b'\\',
            b'\n', b'-', b'%', b'=',
        ];
        match self.below(2) {
            0 => TELLING[self.below(TELLING.len())],
            _ => self.entropy.number() as u8,
        }
    }

    fn seed(&self) -> &[u8] {
        &self.seeds[self.below(self.seeds.len())]
    }

    /// A part of an example.
    fn piece(&self) -> Vec<u8> {
        let seed = self.seed();
        let start = self.below(seed.len());
        seed[start..(start + self.below(64)).min(seed.len())].to_vec()
    }

    fn change_bytes(&self, mut input: Vec<u8>) -> Vec<u8> {
        let at = self.below(input.len() + 1);
        let end = (at + self.below(32)).min(input.len());
        match self.below(9) {
            0 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
            1 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = self.byte();
                }
            }
            2 => input.truncate(at),
            3 => drop(input.drain(at..end)),
            4 => input.insert(at, self.byte()),
            5 => drop(input.splice(at..end, self.piece())),
            6 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            7 => self.lie_about_a_length(&mut input),
            _ => return self.nest(&input),
        }
        input
    }

    /// Says of some element that it is longer than anything, or longer or shorter than it is.
    fn lie_about_a_length(&self, input: &mut Vec<u8>) {
        const LENGTHS: &[&[u8]] = &[
            &[0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x84, 0x7f, 0xff, 0xff, 0xff],
            &[0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x80],
            &[0xff],
            &[0x81, 0x05],
            &[0x82, 0x00, 0x90],
            &[0x7f],
            &[0x00],
        ];
        let tags: Vec<usize> = (1..input.len())
            .filter(|at| [0x30, 0x31, 2, 3, 4, 6, 0xa0, 0xa3].contains(&input[at - 1]))
            .collect();
        if !tags.is_empty() {
            let at = tags[self.below(tags.len())];
            let length = LENGTHS[self.below(LENGTHS.len())].iter().copied();
            input.splice(at..=at, length);
        }
    }

    /// Puts elements around `input`, one in the other.
    fn nest(&self, input: &[u8]) -> Vec<u8> {
        let tag = if self.below(2) == 0 { 0x30 } else { self.byte() };
        (0..self.entropy.number() % NESTING_MAX).fold(input.to_vec(), |inner, _| element(tag, &inner))
    }

    /// Changes one element, if `input` is DER; the elements around it become as long as they have to be.
    fn change_element(&self, input: &[u8]) -> Vec<u8> {
        let Some(mut elements) = parse(input, DEPTH_MAX) else { return self.change_bytes(input.to_vec()) };
        let chosen = self.below(elements.iter().map(Element::count).sum());
        self.change_in(&mut elements, chosen);
        elements.iter().flat_map(Element::bytes).collect()
    }

    /// Changes the element that is the `chosen` one, counted from the first and its insides on. How many are
    /// still to be counted, unless it was among these.
    fn change_in(&self, elements: &mut Vec<Element>, mut chosen: usize) -> Option<usize> {
        for at in 0..elements.len() {
            if chosen == 0 {
                self.change_one(elements, at);
                return None;
            }
            chosen -= 1;
            if let Content::Elements(inside) = &mut elements[at].content {
                chosen = self.change_in(inside, chosen)?;
            }
        }
        Some(chosen)
    }

    fn change_one(&self, elements: &mut Vec<Element>, at: usize) {
        let other = self.below(elements.len());
        match self.below(8) {
            0 => drop(elements.remove(at)),
            1 => elements.insert(at, elements[at].clone()),
            2 => elements.swap(at, other),
            3 => elements[at] = elements[other].clone(),
            4 => elements[at].tag = self.byte(),
            5 => elements[at].content = Content::Bytes(self.piece()),
            6 => {
                let bytes = elements[at].content.bytes();
                elements[at].content = Content::Bytes(self.change_bytes(bytes));
            }
            _ => {
                let inside = elements[at].clone();
                elements[at] = Element { tag: self.byte(), content: Content::Elements(vec![inside]) };
            }
        }
    }
}

/// An element of DER.
#[derive(Clone)]
struct Element {
    tag: u8,
    content: Content,
}

#[derive(Clone)]
enum Content {
    Bytes(Vec<u8>),
    Elements(Vec<Element>),
}

/// What `bytes` consist of, if that is elements and nothing else.
fn parse(mut bytes: &[u8], depth: usize) -> Option<Vec<Element>> {
    let mut elements = Vec::new();
    while !bytes.is_empty() {
        let (tag, content, rest) = split(bytes)?;
        // Octet strings hold extensions, bit strings keys.
        let may_hold_elements = depth > 0 && (tag & 0x20 != 0 || tag == 4) && !content.is_empty();
        let inside = may_hold_elements.then(|| parse(content, depth - 1)).flatten();
        let content = inside.map_or_else(|| Content::Bytes(content.to_vec()), Content::Elements);
        elements.push(Element { tag, content });
        bytes = rest;
    }
    (!elements.is_empty()).then_some(elements)
}

impl Element {
    /// How many elements it is, those inside included.
    fn count(&self) -> usize {
        match &self.content {
            Content::Bytes(_) => 1,
            Content::Elements(inside) => 1 + inside.iter().map(Self::count).sum::<usize>(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        element(self.tag, &self.content.bytes())
    }
}

impl Content {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Elements(inside) => inside.iter().flat_map(Element::bytes).collect(),
        }
    }
}
