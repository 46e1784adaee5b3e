package v1alpha1

import (
	"encoding/json"
	"errors"
	"fmt"

	kjson "sigs.k8s.io/json"
)

// maxUnknownFields bounds how many unknown members are named; the first ones suffice to find the mistake.
const maxUnknownFields = 16

// decodeStrict decodes data into v, case-sensitively, and returns the members that v does not have and the members that
// stand twice. They are returned rather than refused so that an operator can still show the object and say what is wrong
// with it: a restriction that is silently dropped would be a permission that nobody gave.
func decodeStrict(data []byte, v any) (unknown []string, err error) {
	strict, err := kjson.UnmarshalStrict(data, v)
	if err != nil {
		return nil, err
	}
	for i, e := range strict {
		if i == maxUnknownFields {
			unknown = append(unknown, fmt.Sprintf("and %d more", len(strict)-i))
			break
		}
		var field kjson.FieldError
		if errors.As(e, &field) {
			unknown = append(unknown, field.FieldPath())
			continue
		}
		unknown = append(unknown, e.Error())
	}
	return unknown, nil
}

// UnmarshalJSON decodes strictly: see UnknownFields.
func (s *ExchangeSchemaSpec) UnmarshalJSON(data []byte) error {
	type plain ExchangeSchemaSpec
	var p plain
	unknown, err := decodeStrict(data, &p)
	if err != nil {
		return err
	}
	*s = ExchangeSchemaSpec(p)
	s.UnknownFields = unknown
	return nil
}

// UnmarshalJSON decodes strictly: see UnknownFields.
func (s *DatasetSpec) UnmarshalJSON(data []byte) error {
	type plain DatasetSpec
	var p plain
	unknown, err := decodeStrict(data, &p)
	if err != nil {
		return err
	}
	*s = DatasetSpec(p)
	s.UnknownFields = unknown
	return nil
}

// UnmarshalJSON decodes strictly: see UnknownFields.
func (s *SharingAgreementSpec) UnmarshalJSON(data []byte) error {
	type plain SharingAgreementSpec
	var p plain
	unknown, err := decodeStrict(data, &p)
	if err != nil {
		return err
	}
	*s = SharingAgreementSpec(p)
	s.UnknownFields = unknown
	return nil
}

// UnmarshalJSON decodes strictly: see UnknownFields.
func (s *AgreementProfileSpec) UnmarshalJSON(data []byte) error {
	type plain AgreementProfileSpec
	var p plain
	unknown, err := decodeStrict(data, &p)
	if err != nil {
		return err
	}
	*s = AgreementProfileSpec(p)
	s.UnknownFields = unknown
	return nil
}

var (
	_ json.Unmarshaler = (*ExchangeSchemaSpec)(nil)
	_ json.Unmarshaler = (*DatasetSpec)(nil)
	_ json.Unmarshaler = (*SharingAgreementSpec)(nil)
	_ json.Unmarshaler = (*AgreementProfileSpec)(nil)
)
