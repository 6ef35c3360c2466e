//! PEM blocks.

use x509::pem::{self, PemError};

pub(crate) fn run(data: &[u8]) {
    if let Some(less) = data.len().checked_sub(1) {
        assert_eq!(pem::read(data, less), Err(PemError::TooLong { bytes_max: less }));
        let [block] =
            &pem::read(pem::write("X", data).as_bytes(), usize::MAX).expect("what is written is read")[..]
        else {
            panic!("one block was written");
        };
        assert_eq!((block.label.as_str(), block.has_headers, &*block.der), ("X", false, data));
    }
    let Ok(blocks) = pem::read(data, data.len()) else { return };
    let mut text = String::new();
    for block in &blocks {
        assert!(!block.der.is_empty() && !block.label.is_empty());
        text.push_str("what stands between blocks is passed over\n");
        text.push_str(&pem::write(&block.label, &block.der));
    }
    let again = pem::read(text.as_bytes(), text.len()).expect("what is written is read");
    assert_eq!(again.len(), blocks.len());
    for (block, again) in blocks.iter().zip(&again) {
        assert_eq!((&block.label, &block.der), (&again.label, &again.der));
    }
}
