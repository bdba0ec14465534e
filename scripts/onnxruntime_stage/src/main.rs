//! `onnxruntime_stage LIBRARY GRAPH ROWS TIMES`: runs a graph that many times under ONNX Runtime, on one thread.
//!
//! An open axis is as long as the beam has rows; every token is 4 and every number 0.5.

use std::error::Error;

use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{DynTensor, Outlet, Tensor, TensorElementType, ValueType};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, graph, rows, times] = arguments.as_slice() else {
        return Err("usage: onnxruntime_stage LIBRARY GRAPH ROWS TIMES".into());
    };
    ort::init_from(library)?.commit();
    let mut session = Session::builder()?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .commit_from_file(graph)?;
    let rows = rows.parse()?;
    let inputs = session.inputs().iter().map(|port| input(port, rows)).collect::<Result<Vec<_>, _>>()?;
    for _ in 0..times.parse()? {
        let inputs: Vec<_> = inputs.iter().map(|(name, value)| (name.as_str(), value.view())).collect();
        session.run(inputs)?;
    }
    Ok(())
}

fn input(port: &Outlet, rows: usize) -> Result<(String, DynTensor), Box<dyn Error>> {
    let ValueType::Tensor { ty, shape, .. } = port.dtype() else {
        return Err(format!("input `{}` is not a tensor", port.name()).into());
    };
    let shape: Vec<usize> = shape.iter().map(|len| usize::try_from(*len).unwrap_or(rows)).collect();
    let count = shape.iter().product();
    let value = match ty {
        TensorElementType::Int64 => Tensor::from_array((shape, vec![4i64; count]))?.upcast(),
        _ => Tensor::from_array((shape, vec![0.5f32; count]))?.upcast(),
    };
    Ok((port.name().into(), value))
}
