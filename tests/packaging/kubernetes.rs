//! The deployments: what one object names, another one has.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{documents, is_taken, read};

const SINGLE: &str = "packaging/kubernetes/single.yaml";
const ELECTED: &str = "packaging/kubernetes/elected.yaml";

/// The one object of a kind.
fn the<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found: Vec<&Value> = objects.iter().filter(|object| object["kind"] == kind).collect();
    assert_eq!(found.len(), 1, "{kind}");
    found[0]
}

fn names<'a>(list: &'a Value, name: &str) -> BTreeSet<&'a str> {
    list.as_array().unwrap().iter().map(|item| item[name].as_str().unwrap()).collect()
}

/// The pod's specification and its one container.
fn pod(objects: &[Value]) -> (&Value, &Value) {
    let pod = &the(objects, "Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["containers"].as_array().unwrap().len(), 1);
    (pod, &pod["containers"][0])
}

fn args(objects: &[Value]) -> Vec<&str> {
    pod(objects).1["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect()
}

#[test]
fn the_container_is_started_with_flags_that_exist() {
    for file in [SINGLE, ELECTED] {
        let objects = documents(file);
        let args = args(&objects);
        is_taken(&args);
        let container = pod(&objects).1;
        assert!(container["image"].as_str().unwrap().ends_with(&format!(":{}", env!("CARGO_PKG_VERSION"))), "{file}");
        // Beyond loopback only with tokens.
        assert!(
            args.iter().any(|arg| arg.starts_with("--token-file="))
                && args.iter().any(|arg| arg.starts_with("--read-token-file="))
        );
    }
}

#[test]
fn one_watcher_has_no_election_and_three_have_one() {
    let single = documents(SINGLE);
    let deployment = the(&single, "Deployment");
    assert_eq!(
        (&deployment["spec"]["replicas"], &deployment["spec"]["strategy"]["type"]),
        (&json!(1), &json!("Recreate"))
    );
    assert!(!args(&single).iter().any(|arg| arg.contains("elect") || arg.contains("etcd")));
    assert_eq!(the(&single, "PodDisruptionBudget")["spec"]["maxUnavailable"], 1, "a node with it can be drained");

    let elected = documents(ELECTED);
    let replicas = the(&elected, "Deployment")["spec"]["replicas"].as_u64().unwrap();
    assert_eq!(replicas, 3);
    assert!(args(&elected).contains(&"--election=etcd"));
    assert_eq!(args(&elected).iter().filter(|arg| arg.starts_with("--etcd=")).count(), 3);
    assert!(the(&elected, "PodDisruptionBudget")["spec"]["minAvailable"].as_u64().unwrap() < replicas);
}

#[test]
fn what_is_named_is_there() {
    for file in [SINGLE, ELECTED] {
        let objects = documents(file);
        let (pod, container) = pod(&objects);
        let deployment = &the(&objects, "Deployment")["spec"];
        let labels = &deployment["template"]["metadata"]["labels"];
        for selector in [
            &deployment["selector"]["matchLabels"],
            &the(&objects, "Service")["spec"]["selector"],
            &the(&objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        ] {
            assert_eq!(selector, labels, "{file}");
        }
        assert_eq!(pod["serviceAccountName"], the(&objects, "ServiceAccount")["metadata"]["name"]);

        let ports = &container["ports"];
        assert_eq!(ports[0]["name"], the(&objects, "Service")["spec"]["ports"][0]["targetPort"]);
        let listens = args(&objects).iter().find_map(|arg| arg.strip_prefix("--listen=")).unwrap().to_owned();
        assert!(listens.ends_with(&format!(":{}", ports[0]["containerPort"])), "{listens}");
        for (probe, path) in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
            assert_eq!(container[probe]["httpGet"], json!({"path": path, "port": ports[0]["name"]}), "{file}");
        }

        assert_eq!(names(&container["volumeMounts"], "name"), names(&pod["volumes"], "name"), "{file}");
        for volume in pod["volumes"].as_array().unwrap() {
            if let Some(claim) = volume["persistentVolumeClaim"]["claimName"].as_str() {
                assert_eq!(the(&objects, "PersistentVolumeClaim")["metadata"]["name"], claim);
            }
            if let Some(map) = volume["configMap"]["name"].as_str() {
                assert_eq!(the(&objects, "ConfigMap")["metadata"]["name"], map);
            }
            if let Some(secret) = volume["secret"]["secretName"].as_str() {
                let made = format!("kubectl create secret generic {secret} ");
                assert!(read("docs/packaging.md").contains(&made), "docs/packaging.md does not make {secret}");
                assert_eq!(volume["secret"]["defaultMode"], 0o440, "root's, for the group of the pod alone");
            }
        }
    }
}

#[test]
fn what_is_read_is_mounted_and_what_is_written_can_be() {
    for file in [SINGLE, ELECTED] {
        let objects = documents(file);
        let (pod, container) = pod(&objects);
        let mounts = container["volumeMounts"].as_array().unwrap();
        let mount = |path: &str| {
            let inside = |mount: &&Value| {
                let at = mount["mountPath"].as_str().unwrap();
                path == at || path.starts_with(&format!("{at}/"))
            };
            mounts.iter().find(inside).unwrap_or_else(|| panic!("{file}: nothing is mounted at {path}"))
        };
        let env = |name: &str| {
            let found = container["env"].as_array().unwrap().iter().find(|variable| variable["name"] == name);
            found.unwrap_or_else(|| panic!("{name}"))["value"].as_str().unwrap()
        };
        for written in ["CTL_STATE", "XDG_CACHE_HOME", "HOME"] {
            assert_eq!(mount(env(written))["readOnly"], Value::Null, "{written}");
        }
        let map = &the(&objects, "ConfigMap")["data"];
        assert!(map[env("GIT_CONFIG_GLOBAL").rsplit('/').next().unwrap()].is_string());
        let files = args(&objects).into_iter().filter_map(|arg| arg.strip_prefix("--")?.split_once("-file="));
        let files: Vec<&str> = files.map(|(_, path)| path).chain([env("CTL_CREDENTIALS")]).collect();
        assert_eq!(files.len(), 4);
        for file in files {
            assert_eq!(mount(file)["name"], "credentials");
            let key = file.rsplit('/').next().unwrap();
            assert!(read("docs/packaging.md").contains(&format!("--from-file={key}=")), "{key} is in no secret");
        }
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["fsGroup"], pod["securityContext"]["runAsGroup"]);
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() >= 30);
    }
}
