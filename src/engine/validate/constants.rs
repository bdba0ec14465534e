//! Constants: their content is in the file, fits their shape, and is made of numbers.

use std::path::{Component, Path};

use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};

use super::elements;
use crate::limits::MAX_RANK;

/// Checks a constant.
///
/// # Errors
/// A sentence that names it.
pub fn check(constant: &TensorProto) -> Result<(), String> {
    let wrong = |problem: String| Err(format!("constant {:?} {problem}", constant.name));
    if constant.data_location == Some(DataLocation::External.into()) || !constant.external_data.is_empty() {
        return wrong(elsewhere(constant));
    }
    let dims = &constant.dims;
    let Some(elements) = elements(dims.iter().copied()).filter(|_| dims.len() <= MAX_RANK) else {
        return wrong(format!("has the shape {:?}", &dims[..dims.len().min(MAX_RANK + 1)]));
    };
    let kind = DataType::try_from(constant.data_type).unwrap_or_default();
    let Some(held) = held(constant, kind) else {
        return wrong(format!("is of type {kind:?}, which is not read here"));
    };
    if held != Some(elements) {
        return wrong(format!("of shape {dims:?} should hold {elements} of {kind:?}, and holds other than that"));
    }
    match numbers(constant, kind) {
        Some(finite) if !finite.is_fit(elements) => wrong(finite.problem().into()),
        _ => Ok(()),
    }
}

/// Says where the content is.
fn elsewhere(constant: &TensorProto) -> String {
    let location = constant.external_data.iter().find(|entry| entry.key == "location");
    let location = location.map_or("", |entry| &entry.value);
    let is_inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    let climbs = if Path::new(location).components().all(is_inside) { "" } else { ", outside of the model folder" };
    format!(
        "has its content in another file ({location:?}{climbs}), which is never read: save the graph with its weights in one file"
    )
}

/// How many elements the constant holds, `Some(None)` for bytes that are no whole number of them; `None` for types that
/// are not read.
fn held(constant: &TensorProto, kind: DataType) -> Option<Option<usize>> {
    let (size, listed) = match kind {
        DataType::Float => (4, constant.float_data.len()),
        DataType::Double => (8, constant.double_data.len()),
        DataType::Int8 | DataType::Uint8 | DataType::Bool => (1, constant.int32_data.len()),
        DataType::Int16 | DataType::Uint16 | DataType::Float16 => (2, constant.int32_data.len()),
        DataType::Int32 | DataType::Uint32 => (4, constant.int32_data.len()),
        DataType::Int64 | DataType::Uint64 => (8, constant.int64_data.len()),
        DataType::String if constant.raw_data.is_empty() => (1, constant.string_data.len()),
        _ => return None,
    };
    Some(match constant.raw_data.len() {
        0 => Some(listed),
        bytes => (bytes % size == 0).then_some(bytes / size),
    })
}

/// What kinds of floats there are among some.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Finite {
    has_nan: bool,
    has_infinity: bool,
}

impl Finite {
    /// Whether a constant of as many elements may be like this. An infinity alone is a bound or the fill of a mask.
    pub fn is_fit(self, elements: usize) -> bool {
        !self.has_nan && (!self.has_infinity || elements == 1)
    }

    /// What is wrong where it is not fit.
    pub fn problem(self) -> &'static str {
        if self.has_nan { "holds what is not a number (NaN)" } else { "holds an infinite number" }
    }

    fn with(self, is_nan: bool, is_infinite: bool) -> Self {
        Self { has_nan: self.has_nan | is_nan, has_infinity: self.has_infinity | is_infinite }
    }
}

/// Looks through the bytes of f32 numbers.
pub fn check_numbers(bytes: &[u8]) -> Finite {
    floats(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)))
}

fn floats(values: impl Iterator<Item = f32>) -> Finite {
    values.fold(Finite::default(), |finite, value| finite.with(value.is_nan(), value.is_infinite()))
}

fn halves(values: impl Iterator<Item = u16>) -> Finite {
    const EXPONENT: u16 = 0x7C00;
    let is_special = |bits: u16| bits & EXPONENT == EXPONENT;
    values.fold(Finite::default(), |finite, bits| {
        finite.with(is_special(bits) && bits & 0x3FF != 0, is_special(bits) && bits & 0x3FF == 0)
    })
}

/// What a constant of floats holds.
fn numbers(constant: &TensorProto, kind: DataType) -> Option<Finite> {
    let raw = &constant.raw_data;
    match kind {
        DataType::Float if raw.is_empty() => Some(floats(constant.float_data.iter().copied())),
        DataType::Float => Some(check_numbers(raw)),
        DataType::Double => {
            let raw = raw.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes));
            // Infinite as f32 is as bad.
            Some(floats(constant.double_data.iter().copied().chain(raw).map(|value| value as f32)))
        }
        DataType::Float16 => {
            let raw = raw.as_chunks::<2>().0.iter().map(|bytes| u16::from_le_bytes(*bytes));
            Some(halves(constant.int32_data.iter().map(|bits| *bits as u16).chain(raw)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::StringStringEntryProto;

    use super::*;

    fn constant(kind: DataType, dims: &[i64], raw_data: &[u8]) -> TensorProto {
        let (dims, raw_data) = (dims.to_vec(), raw_data.to_vec());
        TensorProto { name: "w".into(), data_type: kind.into(), dims, raw_data, ..TensorProto::default() }
    }

    #[test]
    fn whole_constants_pass() {
        for (kind, dims, bytes) in [
            (DataType::Float, &[2, 3][..], 24),
            (DataType::Float, &[], 4),
            (DataType::Int64, &[3], 24),
            (DataType::Uint8, &[0, 4], 0),
        ] {
            assert_eq!(check(&constant(kind, dims, &vec![0; bytes])), Ok(()), "{kind:?} {dims:?}");
        }
        let mask = constant(DataType::Float, &[1], &f32::NEG_INFINITY.to_le_bytes());
        assert_eq!(check(&mask), Ok(()), "a bound or a mask may be infinite");
    }

    #[test]
    fn constants_that_do_not_fit_their_shape_or_hold_no_numbers_are_refused() {
        let nan = [f32::NAN.to_le_bytes(), [0; 4]].concat();
        let infinite = [f32::INFINITY.to_le_bytes(), [0; 4]].concat();
        let half_nan = [0x01, 0x7E, 0, 0];
        for (constant, expected) in [
            (constant(DataType::Float, &[2, 3], &[0; 23]), "should hold 6"),
            (constant(DataType::Float, &[2, 3], &[0; 28]), "should hold 6"),
            (constant(DataType::Float, &[7], &[]), "should hold 7"),
            (constant(DataType::Int8, &[-1], &[0; 8]), "has the shape"),
            (constant(DataType::Int8, &[i64::MAX, i64::MAX], &[0; 8]), "has the shape"),
            (constant(DataType::Int8, &[1; 99], &[0]), "has the shape"),
            (constant(DataType::Bfloat16, &[1], &[0; 2]), "is not read"),
            (constant(DataType::Float, &[2], &nan), "NaN"),
            (constant(DataType::Float, &[2], &infinite), "infinite"),
            (constant(DataType::Float16, &[2], &half_nan), "NaN"),
            (constant(DataType::Double, &[1], &f64::NAN.to_le_bytes()), "NaN"),
        ] {
            let complaint = check(&constant).unwrap_err();
            assert!(complaint.contains(expected) && complaint.contains("\"w\""), "{complaint}");
        }
    }

    #[test]
    fn content_in_other_files_is_never_read() {
        for (location, climbs) in [("weights.bin", false), ("../../etc/passwd", true), ("/etc/passwd", true)] {
            let mut constant = constant(DataType::Float, &[1], &[]);
            constant.data_location = Some(DataLocation::External.into());
            let entry = StringStringEntryProto { key: "location".into(), value: location.into() };
            constant.external_data.push(entry);
            let complaint = check(&constant).unwrap_err();
            assert!(complaint.contains(location), "{complaint}");
            assert_eq!(complaint.contains("outside"), climbs, "{complaint}");
        }
    }
}
