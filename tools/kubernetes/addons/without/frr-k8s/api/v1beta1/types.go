// Package v1beta1 stands in for the settings of a BGP daemon (frr-k8s) that MetalLB names and that no cluster made here uses.
package v1beta1

import (
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// AddToScheme adds nothing: whoever asks for MetalLB's mode frr-k8s is told that the kind is not known.
func AddToScheme(*runtime.Scheme) error { return nil }

var errAbsent = errors.New("MetalLB was built without frr-k8s")

type FRRConfiguration struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              FRRConfigurationSpec `json:"spec,omitempty"`
}

func (*FRRConfiguration) DeepCopy() *FRRConfiguration { panic(errAbsent) }

func (*FRRConfiguration) DeepCopyObject() runtime.Object { panic(errAbsent) }

type FRRConfigurationSpec struct {
	BGP          BGPConfig
	NodeSelector metav1.LabelSelector
}

func (*FRRConfigurationSpec) DeepCopyInto(*FRRConfigurationSpec) { panic(errAbsent) }

type BGPConfig struct {
	Routers     []Router
	BFDProfiles []BFDProfile
}

type Router struct {
	ASN       uint32
	ID, VRF   string
	Neighbors []Neighbor
	Prefixes  []string
}

type DynamicASNMode string

type SecretReference struct{ Name, Namespace string }

type Neighbor struct {
	ASN                                            uint32
	DynamicASN                                     DynamicASNMode
	Address, Interface, Password, BFDProfile       string
	Port                                           *uint16
	PasswordSecret                                 SecretReference
	HoldTime, KeepaliveTime, ConnectTime           *metav1.Duration
	EBGPMultiHop, EnableGracefulRestart, DisableMP bool
	DualStackAddressFamily                         bool
	ToAdvertise                                    Advertise
}

type Advertise struct {
	Allowed                   AllowedOutPrefixes
	PrefixesWithLocalPref     []LocalPrefPrefixes
	PrefixesWithCommunity     []CommunityPrefixes
	PrefixesWithAsPathPrepend []AsPathPrependPrefixes
}

type AllowedOutPrefixes struct{ Prefixes []string }

type LocalPrefPrefixes struct {
	Prefixes  []string
	LocalPref uint32
}

type CommunityPrefixes struct {
	Prefixes  []string
	Community string
}

type AsPathPrependPrefixes struct {
	Prefixes      []string
	AsPathPrepend uint8
}

type BFDProfile struct {
	Name                                                                          string
	ReceiveInterval, TransmitInterval, DetectMultiplier, EchoInterval, MinimumTTL *uint32
	EchoMode, PassiveMode                                                         *bool
}
