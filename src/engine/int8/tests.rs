//! The pass against ONNX Runtime and against tract on whole graphs: `tests/fixtures/int8`, made by
//! `scripts/make_int8_fixtures.py`.

use std::path::Path;

use super::super::arithmetic::Arithmetic;
use super::super::{Graph, GraphFile, OperatorCount, Pool, Value};
use crate::error::Result;
use crate::kernels::KernelSet;

/// One step of the fixtures' activations. tract multiplies by the reciprocal of a scale where ONNX divides, so values
/// that lie between two steps may go the other way there.
const STEP: f32 = 8.0 / 255.0;

fn load(name: &str, arithmetic: Arithmetic) -> Result<Graph> {
    load_on(name, arithmetic, 1)
}

fn load_on(name: &str, arithmetic: Arithmetic, threads: usize) -> Result<Graph> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/int8/{name}.onnx"));
    let onnx = GraphFile::open(&path).expect("the fixture is in the repository");
    Graph::load_for(arithmetic, &path, onnx, &Pool::new(Some(threads))?, |_| None)
}

/// All outputs for the first input of the fixtures.
fn run(graph: &mut Graph) -> Result<Vec<f32>> {
    let shape: Vec<usize> = graph.inputs()[0].dims.iter().map(|dim| dim.expect("fixtures have fixed shapes")).collect();
    let mut input = Value::zeros(&shape);
    input.write_f32(|elements| {
        for (i, element) in elements.iter_mut().enumerate() {
            *element = ((i * 7919 % 255) as f32 - 127.0) / 32.0;
        }
    });
    let mut outputs = vec![];
    graph.run(&[input], &mut outputs)?;
    Ok(outputs.iter().flat_map(Value::as_f32).copied().collect())
}

fn expected(name: &str) -> Vec<f32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/int8/{name}.f32"));
    let bytes = std::fs::read(path).expect("the fixture is in the repository");
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn largest_difference(first: &[f32], second: &[f32]) -> f32 {
    assert_eq!(first.len(), second.len(), "another number of elements");
    first.iter().zip(second).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn best() -> Arithmetic {
    Arithmetic::Int8(KernelSet::detect())
}

/// How often the kernels run `operator`.
fn count(graph: &Graph, operator: &str) -> usize {
    let is_it = |count: &&OperatorCount| count.operator == operator && count.arithmetic.starts_with("int8");
    graph.operators().iter().filter(is_it).map(|count| count.count).sum()
}

#[test]
fn every_fixture_gives_what_onnx_runtime_gives() -> Result<()> {
    for (name, tolerance) in [
        ("network", STEP),
        ("signed_network", STEP),
        ("unsupported_middle", STEP),
        ("shared_float", 1e-4),
        ("functions", 2.0 * STEP),
        ("excitation", STEP),
        ("products", STEP),
        ("broadcast", STEP),
        ("dynamic", 1e-4),
        ("embedding", 0.0),
        ("operators", 0.0),
    ] {
        let difference = largest_difference(&run(&mut load(name, best())?)?, &expected(name));
        println!("{name}: {difference} from ONNX Runtime");
        assert!(difference <= tolerance * 1.001, "{name}: {difference} from ONNX Runtime");
    }
    Ok(())
}

#[test]
fn every_fixture_gives_what_tract_gives_on_floats() -> Result<()> {
    for name in [
        "network",
        "signed_network",
        "unsupported_middle",
        "shared_float",
        "functions",
        "excitation",
        "products",
        "dynamic",
        "operators",
    ] {
        let difference =
            largest_difference(&run(&mut load(name, best())?)?, &run(&mut load(name, Arithmetic::Float)?)?);
        println!("{name}: {difference} from tract");
        assert!(difference <= 2.0 * STEP * 1.001, "{name}: {difference} from tract");
    }
    Ok(())
}

#[test]
fn every_kernel_set_gives_the_same_bits() -> Result<()> {
    for name in [
        "network",
        "signed_network",
        "unsupported_middle",
        "functions",
        "excitation",
        "products",
        "dynamic",
        "operators",
    ] {
        let reference = run(&mut load(name, Arithmetic::Int8(KernelSet::reference()))?)?;
        for set in KernelSet::available() {
            assert_eq!(run(&mut load(name, Arithmetic::Int8(set))?)?, reference, "{name} on {set:?}");
        }
    }
    Ok(())
}

#[test]
fn every_number_of_threads_gives_the_same_bits() -> Result<()> {
    for name in ["network", "unsupported_middle", "excitation", "operators"] {
        let alone = run(&mut load(name, best())?)?;
        for threads in [2, 3, 8] {
            assert_eq!(run(&mut load_on(name, best(), threads)?)?, alone, "{name} on {threads} threads");
        }
    }
    Ok(())
}

#[test]
fn a_graph_runs_again_with_the_same_result() -> Result<()> {
    let mut graph = load("network", best())?;
    assert_eq!(run(&mut graph)?, run(&mut graph)?);
    Ok(())
}

#[test]
fn a_quantized_network_leaves_nothing_to_tract() -> Result<()> {
    for name in ["network", "signed_network", "excitation"] {
        let operators = load(name, best())?.operators();
        assert!(operators.iter().all(|count| count.arithmetic.starts_with("int8")), "{name}: {operators:?}");
    }
    Ok(())
}

#[test]
fn a_residual_addition_is_part_of_the_product_before_it() -> Result<()> {
    let graph = load("network", best())?;
    assert_eq!((count(&graph, "Strips"), count(&graph, "Add")), (2, 0));
    Ok(())
}

#[test]
fn an_operator_of_tract_splits_a_region_that_leads_around_it() -> Result<()> {
    let graph = load("unsupported_middle", best())?;
    let regions = graph.plan.model().nodes().iter().filter(|node| node.op_is::<super::Int8Region>()).count();
    assert_eq!(regions, 2);
    assert_eq!((count(&graph, "Store"), count(&graph, "Load")), (1, 1));
    Ok(())
}

#[test]
fn functions_of_one_tensor_are_tables() -> Result<()> {
    assert_eq!(count(&load("functions", best())?, "Lookup"), 3);
    Ok(())
}

#[test]
fn weights_that_kernels_cannot_take_stay_with_tract() -> Result<()> {
    let mut graph = load("odd_weights", best())?;
    let operators = graph.operators();
    assert_eq!(count(&graph, "Pointwise"), 1, "{operators:?}");
    let tract = run(&mut load("odd_weights", Arithmetic::Float)?)?;
    let difference = largest_difference(&run(&mut graph)?, &tract);
    assert!(difference <= STEP * 1.001, "{difference} from tract");
    Ok(())
}

#[test]
fn products_of_rows_that_are_quantized_as_they_come_run_on_integers() -> Result<()> {
    let operators = load("dynamic", best())?.operators();
    assert!(operators.iter().all(|count| count.operator == "DynamicLinear"), "{operators:?}");
    Ok(())
}

#[test]
fn only_the_rows_of_an_embedding_are_dequantized() -> Result<()> {
    let operators = load("embedding", best())?.operators();
    assert!(operators.iter().any(|count| count.operator == "Gather" && count.arithmetic == "i8"), "{operators:?}");
    Ok(())
}

#[test]
fn a_region_keeps_no_tensor_outside_its_arena() -> Result<()> {
    let graph = load("network", best())?;
    let outlets = graph.plan.model().nodes().iter().flat_map(|node| &node.outputs);
    let elements: usize = outlets.filter_map(|outlet| outlet.fact.konst.as_ref()).map(|value| value.len()).sum();
    assert!(elements < 64, "{elements} constant elements are left in the graph");
    Ok(())
}

#[test]
fn each_step_of_a_region_is_timed() -> Result<()> {
    let mut graph = load("operators", best())?;
    let mut outputs = vec![];
    let times = graph.run_timed(&[Value::zeros(&[1, 3, 8, 8])], &mut outputs)?;
    let steps: Vec<_> = times.iter().map(|time| time.operator.as_str()).collect();
    let expected =
        ["Quantize", "Convolution", "Pointwise", "Add", "GlobalAveragePool", "Pointwise", "Pointwise", "Dequantize"];
    assert_eq!(steps, expected);
    assert_eq!(outputs.len(), 1);
    Ok(())
}
