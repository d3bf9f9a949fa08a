// Command istio-verdicts says what Istio and Kubernetes would answer to objects: YAML documents come in on standard input,
// one line of JSON goes out for each. The arguments are files of further CustomResourceDefinitions (the Gateway API's).
// With "values" as the only argument it says what values they read: what they make JSON of, or why they do not.
// With "mesh" as the only argument it answers questions about the settings of a mesh (mesh.go).
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/hashicorp/go-multierror"
	"istio.io/istio/manifests"
	"istio.io/istio/pilot/pkg/config/kube/crd"
	crdvalidation "istio.io/istio/pkg/config/crd"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/resource"
	"istio.io/istio/pkg/log"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kubeyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

const istioCRDs = "charts/base/files/crd-all.gen.yaml"

// verdict is one line of the answer; nil means "accepted".
type verdict struct {
	// Webhook is the error of istiod's validating webhook.
	Webhook *string `json:"webhook"`
	// Warnings are what the webhook accepts and warns of.
	Warnings []string `json:"warnings"`
	// Schema is the error of kube-apiserver: metadata, the structural schema, unknown fields, CEL rules.
	Schema *string `json:"schema"`
}

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "istio-verdicts:", err)
		os.Exit(1)
	}
}

func run(files []string, in io.Reader, out io.Writer) error {
	if len(files) == 1 && files[0] == "values" {
		return each(in, out, valueOf)
	}
	quiet := log.DefaultOptions()
	quiet.SetDefaultOutputLevel(log.OverrideScopeName, log.NoneLevel)
	if err := log.Configure(quiet); err != nil {
		return err
	}
	if len(files) == 1 && files[0] == "mesh" {
		return each(in, out, answerOf)
	}
	schemas, err := newKubernetes(files)
	if err != nil {
		return err
	}
	return each(in, out, func(document []byte) any { return judge(document, schemas) })
}

// each answers every document of a stream.
func each(in io.Reader, out io.Writer, answer func(document []byte) any) error {
	reader, answers := kubeyaml.NewYAMLReader(bufio.NewReader(in)), json.NewEncoder(out)
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(document)) == 0 {
			continue
		}
		if err := answers.Encode(answer(document)); err != nil {
			return err
		}
	}
}

// value is one line of the answer about values.
type value struct {
	Value json.RawMessage `json:"value"`
	Error *string         `json:"error"`
}

func valueOf(document []byte) any {
	content, err := yaml.YAMLToJSONStrict(document)
	return value{Value: content, Error: text(err)}
}

func judge(content []byte, schemas *kubernetes) verdict {
	warnings, refusal := webhook(content)
	return verdict{Webhook: text(refusal), Warnings: warnings, Schema: text(apiserver(content, schemas))}
}

// webhook does what istiod's does with an admission request; for kinds that are not Istio's there is none.
func webhook(content []byte) (warnings []string, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("panic: %v", reason)
		}
	}()
	var object crd.IstioKind
	if err := json.Unmarshal(content, &object); err != nil {
		return nil, fmt.Errorf("cannot decode configuration: %w", err)
	}
	gvk := object.GroupVersionKind()
	schema, known := collections.Pilot.FindByGroupKind(resource.FromKubernetesGVK(&gvk))
	if !known {
		return nil, nil
	}
	config, err := crd.ConvertObject(schema, &object, "cluster.local")
	if err != nil {
		return nil, fmt.Errorf("error decoding configuration: %w", err)
	}
	if config.Namespace == "" {
		config.Namespace = "default"
	}
	warning, err := schema.ValidateConfig(*config)
	var several *multierror.Error
	if errors.As(warning, &several) {
		for _, one := range several.Errors {
			warnings = append(warnings, one.Error())
		}
	} else if warning != nil {
		warnings = append(warnings, warning.Error())
	}
	return warnings, err
}

func apiserver(content []byte, schemas *kubernetes) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("panic: %v", reason)
		}
	}()
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(content); err != nil {
		return err
	}
	if err := metadata(object); err != nil {
		return err
	}
	if structural, found := schemas.structural[object.GroupVersionKind()]; found {
		defaulting.PruneNonNullableNullsWithoutDefaults(object.Object, structural)
	}
	return schemas.validator.ValidateCustomResource(object)
}

func metadata(object *unstructured.Unstructured) error {
	if object.GetNamespace() == "" {
		object.SetNamespace("default")
	}
	path := field.NewPath("metadata")
	problems := validation.ValidateObjectMetaAccessor(object, true, validation.NameIsDNSSubdomain, path)
	problems = append(problems, metav1validation.ValidateLabels(object.GetLabels(), path.Child("labels"))...)
	return problems.ToAggregate()
}

// kubernetes is what kube-apiserver knows of custom resources. Istio's validator for tests leaves out that it drops nulls.
type kubernetes struct {
	validator  *crdvalidation.Validator
	structural map[schema.GroupVersionKind]*structuralschema.Structural
}

func newKubernetes(files []string) (*kubernetes, error) {
	definitions, err := readAll(files)
	if err != nil {
		return nil, err
	}
	validator, err := crdvalidation.NewValidatorFromCRDsWithOptions(definitions, crdvalidation.WithoutCRDValidation())
	if err != nil {
		return nil, err
	}
	known := &kubernetes{validator, map[schema.GroupVersionKind]*structuralschema.Structural{}}
	for place := range definitions {
		spec := definitions[place].Spec
		for _, version := range spec.Versions {
			own, err := apiextensions.GetSchemaForVersion(&definitions[place], version.Name)
			if err != nil {
				return nil, err
			}
			structural, err := structuralschema.NewStructural(own.OpenAPIV3Schema)
			if err != nil {
				return nil, err
			}
			known.structural[schema.GroupVersionKind{Group: spec.Group, Version: version.Name, Kind: spec.Names.Kind}] = structural
		}
	}
	return known, nil
}

func readAll(files []string) ([]apiextensions.CustomResourceDefinition, error) {
	content, err := manifests.FS.ReadFile(istioCRDs)
	if err != nil {
		return nil, err
	}
	texts := [][]byte{content}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		texts = append(texts, content)
	}
	var definitions []apiextensions.CustomResourceDefinition
	for _, content := range texts {
		found, err := read(content)
		if err != nil {
			return nil, err
		}
		definitions = append(definitions, found...)
	}
	return definitions, nil
}

// read takes the CustomResourceDefinitions out of a stream and leaves what else is there.
func read(content []byte) ([]apiextensions.CustomResourceDefinition, error) {
	var found []apiextensions.CustomResourceDefinition
	reader := kubeyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		var external apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(document, &external); err != nil {
			return nil, err
		}
		if external.Kind != "CustomResourceDefinition" {
			continue
		}
		var definition apiextensions.CustomResourceDefinition
		if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&external, &definition, nil); err != nil {
			return nil, err
		}
		found = append(found, definition)
	}
}

func text(err error) *string {
	if err == nil {
		return nil
	}
	message := err.Error()
	return &message
}
