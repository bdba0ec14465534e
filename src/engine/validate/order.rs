//! Who makes what: every tensor has one maker, none feeds itself, and chains are of bounded length.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{GraphProto, NodeProto};

use super::named;
use crate::limits::MAX_GRAPH_DEPTH;

/// Checks a graph and those in it; `outer` are names that are known from around it.
///
/// # Errors
/// A sentence that names the tensor or the node.
pub fn check(graph: &GraphProto, outer: HashSet<&str>) -> Result<(), String> {
    let mut known = outer;
    let inputs: HashSet<&str> = graph.input.iter().map(|input| &*input.name).collect();
    // A constant may be listed among the inputs as well.
    for constant in graph.initializer.iter().map(|constant| &*constant.name) {
        if !known.insert(constant) {
            return Err(format!("there are two constants {constant:?}"));
        }
    }
    known.extend(inputs);
    let makers = makers(graph, &known)?;
    let known_or_made = |name: &str| known.contains(name) || makers.contains_key(name);
    if let Some(output) = graph.output.iter().find(|output| !known_or_made(&output.name)) {
        return Err(format!("nothing makes the output {:?}", output.name));
    }
    let mut reads = Vec::with_capacity(graph.node.len());
    for node in &graph.node {
        let names = names_read(node);
        if let Some(name) = names.iter().find(|name| !known_or_made(name)) {
            return Err(format!("nothing makes {name:?}, which {} reads", named(node)));
        }
        reads.push(names.into_iter().filter_map(|name| makers.get(name).copied()).collect());
    }
    check_depth(graph, &reads)?;
    let all: HashSet<&str> = known.iter().chain(makers.keys()).copied().collect();
    graph.node.iter().flat_map(subgraphs).try_for_each(|graph| check(graph, all.clone()))
}

/// The node that makes each tensor.
fn makers<'a>(graph: &'a GraphProto, known: &HashSet<&str>) -> Result<HashMap<&'a str, usize>, String> {
    let mut makers = HashMap::new();
    for (at, node) in graph.node.iter().enumerate() {
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            if known.contains(&**name) || makers.insert(&**name, at).is_some() {
                return Err(format!("{} makes {name:?}, which is there already", named(node)));
            }
        }
    }
    Ok(makers)
}

/// Names that a node reads, those that its graphs read from around them among them.
fn names_read(node: &NodeProto) -> HashSet<&str> {
    let inputs = node.input.iter().filter(|name| !name.is_empty()).map(|name| &**name);
    inputs.chain(subgraphs(node).flat_map(names_from_around)).collect()
}

fn names_from_around(graph: &GraphProto) -> HashSet<&str> {
    let own = graph.initializer.iter().map(|constant| &constant.name);
    let own = own.chain(graph.input.iter().map(|input| &input.name));
    let own: HashSet<&str> = own.chain(graph.node.iter().flat_map(|node| &node.output)).map(|name| &**name).collect();
    let outputs = graph.output.iter().map(|output| &*output.name);
    let read: HashSet<&str> = graph.node.iter().flat_map(names_read).chain(outputs).collect();
    read.difference(&own).copied().collect()
}

fn subgraphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs))
}

/// Puts the nodes in an order in which each comes after what it reads (Kahn 1962), and counts the longest chain.
fn check_depth(graph: &GraphProto, reads: &[Vec<usize>]) -> Result<(), String> {
    let mut readers = vec![vec![]; reads.len()];
    let mut missing: Vec<usize> = reads.iter().map(Vec::len).collect();
    for (reader, makers) in reads.iter().enumerate() {
        makers.iter().for_each(|maker| readers[*maker].push(reader));
    }
    let mut ready: Vec<usize> = (0..reads.len()).filter(|node| missing[*node] == 0).collect();
    let mut depth = vec![1; reads.len()];
    let mut next = 0;
    while let Some(&maker) = ready.get(next) {
        next += 1;
        for &reader in &readers[maker] {
            depth[reader] = depth[reader].max(depth[maker] + 1);
            missing[reader] -= 1;
            if missing[reader] == 0 {
                ready.push(reader);
            }
        }
    }
    if let Some(node) = missing.iter().position(|missing| *missing > 0) {
        return Err(format!("{} feeds itself, by way of others or at once", named(&graph.node[node])));
    }
    if depth.iter().any(|depth| *depth > MAX_GRAPH_DEPTH) {
        return Err(format!("more than {MAX_GRAPH_DEPTH} nodes stand one after another"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{AttributeProto, TensorProto, ValueInfoProto};

    use super::*;

    fn node(input: &[&str], output: &[&str]) -> NodeProto {
        let names = |names: &[&str]| names.iter().map(|name| String::from(*name)).collect();
        NodeProto { op_type: "Add".into(), input: names(input), output: names(output), ..NodeProto::default() }
    }

    fn graph(nodes: Vec<NodeProto>, output: &str) -> GraphProto {
        let value = |name: &str| ValueInfoProto { name: name.into(), ..ValueInfoProto::default() };
        GraphProto { node: nodes, input: vec![value("x")], output: vec![value(output)], ..GraphProto::default() }
    }

    fn complaint(graph: &GraphProto) -> String {
        check(graph, HashSet::new()).unwrap_err()
    }

    #[test]
    fn tensors_that_nobody_or_two_make_are_refused() {
        assert_eq!(check(&graph(vec![node(&["a", "x"], &["b"]), node(&["x"], &["a"])], "b"), HashSet::new()), Ok(()));
        assert!(complaint(&graph(vec![node(&["x", "y"], &["b"])], "b")).contains("nothing makes \"y\""));
        assert!(complaint(&graph(vec![node(&["x"], &["b"])], "c")).contains("nothing makes the output \"c\""));
        let twice = graph(vec![node(&["x"], &["b"]), node(&["x"], &["b"])], "b");
        assert!(complaint(&twice).contains("there already"));
        assert!(complaint(&graph(vec![node(&["x"], &["x"])], "x")).contains("there already"));
        let mut constants = graph(vec![], "x");
        constants.initializer = vec![TensorProto { name: "w".into(), ..TensorProto::default() }; 2];
        assert!(complaint(&constants).contains("two constants"));
    }

    #[test]
    fn cycles_are_refused_also_those_through_a_graph_in_a_node() {
        assert!(complaint(&graph(vec![node(&["b"], &["b"])], "b")).contains("feeds itself"));
        assert!(complaint(&graph(vec![node(&["b"], &["a"]), node(&["a"], &["b"])], "b")).contains("feeds itself"));
        let mut holder = node(&["x"], &["a"]);
        let inner = graph(vec![node(&["b"], &["c"])], "c");
        holder.attribute = vec![AttributeProto { g: Some(inner), ..AttributeProto::default() }];
        assert!(complaint(&graph(vec![holder.clone(), node(&["a"], &["b"])], "b")).contains("feeds itself"));
        assert_eq!(check(&graph(vec![holder, node(&["x"], &["b"])], "a"), HashSet::new()), Ok(()));
    }

    #[test]
    fn chains_beyond_the_limit_are_refused() {
        let names: Vec<String> =
            (0..=MAX_GRAPH_DEPTH + 1).map(|i| if i == 0 { "x".into() } else { i.to_string() }).collect();
        let nodes: Vec<NodeProto> = names.windows(2).map(|pair| node(&[&pair[0]], &[&pair[1]])).collect();
        let last = |len: usize| graph(nodes[..len].to_vec(), &names[len]);
        assert_eq!(check(&last(MAX_GRAPH_DEPTH), HashSet::new()), Ok(()));
        assert!(complaint(&last(MAX_GRAPH_DEPTH + 1)).contains("one after another"));
    }
}
