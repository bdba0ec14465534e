//! What is refused in a graph before tract sees it: whatever makes it panic, hang or ask for more memory than there is.
//!
//! What cannot be told from the file, such as shapes that the graph itself computes, `budget` checks once shapes are known.

mod attributes;
mod budget;
mod constants;
mod made;
mod order;

use std::collections::HashSet;

use tract_onnx::pb::tensor_shape_proto::dimension::Value;
use tract_onnx::pb::{GraphProto, NodeProto, ValueInfoProto, type_proto};

pub(super) use self::budget::check as check_budget;
pub(super) use self::constants::check_numbers;

use self::made::Numbers;
use crate::limits::{MAX_DIM_NAME, MAX_GRAPH_NODES, MAX_RANK, MAX_SUBGRAPHS, MAX_TENSOR_ELEMENTS};

/// Checks a graph whose constants named `taken` are held elsewhere and have been checked; `is_known` tells operators.
///
/// # Errors
/// A sentence that names the node or tensor, what is wrong with it, and the limit.
pub(super) fn check<'a>(
    graph: &'a GraphProto,
    taken: impl Iterator<Item = &'a str>,
    is_known: impl Fn(&str) -> bool,
) -> Result<(), String> {
    let mut checked = Checked { is_known: &is_known, nodes: 0 };
    checked.graph(graph, 0)?;
    order::check(graph, taken.collect())
}

struct Checked<'a> {
    is_known: &'a dyn Fn(&str) -> bool,
    /// Nodes so far, of subgraphs too.
    nodes: usize,
}

impl Checked<'_> {
    fn graph(&mut self, graph: &GraphProto, nesting: usize) -> Result<(), String> {
        if nesting > MAX_SUBGRAPHS {
            return Err(format!("graphs stand in graphs, more than {MAX_SUBGRAPHS} deep"));
        }
        self.nodes += graph.node.len();
        if self.nodes > MAX_GRAPH_NODES {
            return Err(format!("it has more than {MAX_GRAPH_NODES} nodes"));
        }
        if !graph.sparse_initializer.is_empty() {
            return Err("it has sparse constants, which are not read here".into());
        }
        graph.initializer.iter().try_for_each(constants::check)?;
        let constants: HashSet<&str> = graph.initializer.iter().map(|constant| &*constant.name).collect();
        graph.input.iter().filter(|input| !constants.contains(&*input.name)).try_for_each(input)?;
        let numbers = Numbers::of(graph);
        graph.node.iter().try_for_each(|node| self.node(node, &numbers, nesting))
    }

    fn node(&mut self, node: &NodeProto, numbers: &Numbers, nesting: usize) -> Result<(), String> {
        if !(self.is_known)(&node.op_type) {
            return Err(format!("{} is of an operator that is not known here", named(node)));
        }
        attributes::check(node)?;
        made::check(node, numbers)?;
        let graphs = node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs));
        graphs.into_iter().try_for_each(|graph| self.graph(graph, nesting + 1))
    }
}

/// A node as messages name it.
fn named(node: &NodeProto) -> String {
    let output = node.output.first().map_or("", |name| name);
    format!("{} {:?}", node.op_type, if node.name.is_empty() { output } else { &node.name })
}

/// Checks the shape that an input declares.
fn input(input: &ValueInfoProto) -> Result<(), String> {
    let Some(type_proto::Value::TensorType(tensor)) = input.r#type.as_ref().and_then(|of| of.value.as_ref()) else {
        return Err(format!("input {:?} is no tensor", input.name));
    };
    let dims = tensor.shape.as_ref().map_or(&[][..], |shape| &shape.dim);
    let is_long = |value: &Value| matches!(value, Value::DimParam(name) if name.len() > MAX_DIM_NAME);
    if dims.iter().filter_map(|dim| dim.value.as_ref()).any(is_long) {
        return Err(format!("an axis of input {:?} has a name of more than {MAX_DIM_NAME} bytes", input.name));
    }
    let lengths = dims.iter().map(|dim| match dim.value {
        Some(Value::DimValue(len)) => len.max(1),
        _ => 1,
    });
    match elements(lengths) {
        Some(elements) if elements <= MAX_TENSOR_ELEMENTS && dims.len() <= MAX_RANK => Ok(()),
        _ => Err(format!("input {:?} is beyond {MAX_RANK} axes and {MAX_TENSOR_ELEMENTS} elements", input.name)),
    }
}

/// Number of elements of a shape; none if an axis is negative or there are more than can be counted.
fn elements(dims: impl IntoIterator<Item = i64>) -> Option<usize> {
    let mut dims: Vec<usize> = dims.into_iter().map(|dim| usize::try_from(dim).ok()).collect::<Option<_>>()?;
    // An empty axis makes no tensor sane whose other axes cannot be multiplied.
    let is_empty = dims.contains(&0);
    dims.retain(|dim| *dim != 0);
    let elements = dims.iter().try_fold(1usize, |elements, dim| elements.checked_mul(*dim))?;
    Some(if is_empty { 0 } else { elements })
}
