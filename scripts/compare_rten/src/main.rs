//! `compare_rten GRAPH FRAMES ROWS`: the median milliseconds of a run under rten; RTEN_NUM_THREADS sets its threads.

use std::error::Error;
use std::time::Instant;

use rten::{Dimension, Model, NodeId, Value, ValueOrView};
use rten_tensor::Tensor;

const WARM_UP: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (graph, frames) = (arguments.next().ok_or("no graph")?, arguments.next().ok_or("no number of frames")?);
    let rows = arguments.next().ok_or("no number of rows")?.parse()?;
    let model = Model::load_file(graph)?;
    let inputs = model.input_ids().iter().map(|id| Ok((*id, input(&model, *id, rows)?))).collect::<Result<Vec<_>, String>>()?;
    let mut times = Vec::new();
    for _ in 0..WARM_UP + frames.parse::<usize>()? {
        let start = Instant::now();
        let borrowed = inputs.iter().map(|(id, value)| (*id, ValueOrView::from(value))).collect();
        model.run(borrowed, model.output_ids(), None)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let steady = &mut times[WARM_UP..];
    steady.sort_by(f64::total_cmp);
    println!("{:.4}", steady[steady.len() / 2]);
    Ok(())
}

/// One number, or the token 4; an open axis has length `rows`.
fn input(model: &Model, id: NodeId, rows: usize) -> Result<Value, String> {
    let info = model.node_info(id).ok_or("an input without a description")?;
    let shape: Vec<usize> = info.shape().ok_or("an input without a shape")?.iter().map(|dimension| len(dimension, rows)).collect();
    let count = shape.iter().product();
    Ok(match info.name() {
        Some("input_ids") => Value::from(Tensor::from_data(&shape, vec![4i32; count])),
        _ => Value::from(Tensor::from_data(&shape, vec![0.5f32; count])),
    })
}

fn len(dimension: &Dimension, rows: usize) -> usize {
    match dimension {
        Dimension::Fixed(len) => *len,
        Dimension::Symbolic(_) => rows,
    }
}
