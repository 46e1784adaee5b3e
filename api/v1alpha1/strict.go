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
func (s *ExchangeSchemaSpec) UnmarshalJSON(data []byte) (err error) {
	type plain ExchangeSchemaSpec // has no UnmarshalJSON
	*s = ExchangeSchemaSpec{}
	s.UnknownFields, err = decodeStrict(data, (*plain)(s))
	return err
}

// UnmarshalJSON decodes strictly: see UnknownFields.
func (s *DatasetSpec) UnmarshalJSON(data []byte) (err error) {
	type plain DatasetSpec // has no UnmarshalJSON
	*s = DatasetSpec{}
	s.UnknownFields, err = decodeStrict(data, (*plain)(s))
	return err
}

// UnmarshalJSON decodes strictly: see UnknownFields.
func (s *SharingAgreementSpec) UnmarshalJSON(data []byte) (err error) {
	type plain SharingAgreementSpec // has no UnmarshalJSON
	*s = SharingAgreementSpec{}
	s.UnknownFields, err = decodeStrict(data, (*plain)(s))
	return err
}

// UnmarshalJSON decodes strictly: see UnknownFields.
func (s *AgreementProfileSpec) UnmarshalJSON(data []byte) (err error) {
	type plain AgreementProfileSpec // has no UnmarshalJSON
	*s = AgreementProfileSpec{}
	s.UnknownFields, err = decodeStrict(data, (*plain)(s))
	return err
}

// UnmarshalJSON decodes strictly: see UnknownFields.
func (s *TaskForceSpec) UnmarshalJSON(data []byte) (err error) {
	type plain TaskForceSpec // has no UnmarshalJSON
	*s = TaskForceSpec{}
	s.UnknownFields, err = decodeStrict(data, (*plain)(s))
	return err
}

var (
	_ json.Unmarshaler = (*ExchangeSchemaSpec)(nil)
	_ json.Unmarshaler = (*DatasetSpec)(nil)
	_ json.Unmarshaler = (*SharingAgreementSpec)(nil)
	_ json.Unmarshaler = (*AgreementProfileSpec)(nil)
	_ json.Unmarshaler = (*TaskForceSpec)(nil)
)
