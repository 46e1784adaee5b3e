package v1alpha1

// Condition types. Accepted to Programmed exist from first sight; the others only while they are true.
const (
	// ConditionAccepted: the resource is well formed and every term of it can be kept.
	ConditionAccepted = "Accepted"
	// ConditionResolvedRefs: everything it names exists and fits.
	ConditionResolvedRefs = "ResolvedRefs"
	// ConditionSigned: every party signed the same digest.
	ConditionSigned = "Signed"
	// ConditionInForce: signed, inside the window, not suspended, terminated or superseded.
	ConditionInForce = "InForce"
	// ConditionCredentialsReady: the roles that issue the agreement's credentials are written in Vault.
	ConditionCredentialsReady = "CredentialsReady"
	// ConditionProgrammed: every gateway replica serves the route.
	ConditionProgrammed = "Programmed"

	// ConditionSuspended: a party suspended the agreement.
	ConditionSuspended = "Suspended"
	// ConditionBeginning: the window opens within 90 days; the reason says how soon.
	ConditionBeginning = "Beginning"
	// ConditionExpiring: the agreement ends within 90 days; the reason says how soon.
	ConditionExpiring = "Expiring"
	// ConditionReviewDue: the review is due within 90 days, or was; the reason says which.
	ConditionReviewDue = "ReviewDue"

	// ConditionRenewalDue: the renewal window opens within 90 days, or is open; the reason says which.
	ConditionRenewalDue = "RenewalDue"
	// ConditionDutyDue: a duty of this agency is due within 90 days, or was; the reason says which of the most urgent one.
	ConditionDutyDue = "DutyDue"
	// ConditionReconciled: the logs of all parties agree about what was disclosed under the agreement. It exists once they were compared.
	ConditionReconciled = "Reconciled"

	// ConditionClockSkew: the clock of the peer's operator and ours differ by more than five minutes (Agency); there only while true.
	ConditionClockSkew = "ClockSkew"

	// ConditionSourceReachable: the operator could read the source's catalogue (Dataset).
	ConditionSourceReachable = "SourceReachable"
)

// Condition reasons.
const (
	ReasonAccepted          = "Accepted"
	ReasonUnknownField      = "UnknownField"
	ReasonInvalid           = "Invalid"
	ReasonUnenforceableTerm = "UnenforceableTerm"
	ReasonProfileViolation  = "ProfileViolation"
	ReasonNotAParty         = "NotAParty"
	ReasonRejected          = "Rejected"

	ReasonResolved            = "Resolved"
	ReasonUnknownAgency       = "UnknownAgency"
	ReasonTrustDomainMismatch = "TrustDomainMismatch"
	ReasonAgencyIncomplete    = "AgencyIncomplete"
	ReasonUnknownSchema       = "UnknownSchema"
	ReasonSchemaDigest        = "SchemaDigestMismatch"
	ReasonUnknownSchemaField  = "UnknownSchemaField"
	ReasonUnknownDataset      = "UnknownDataset"
	ReasonFieldNotMapped      = "FieldNotMapped"
	ReasonUnknownColumn       = "UnknownColumn"
	ReasonUnknownPurpose      = "UnknownPurposeNamespace"
	ReasonUnknownProfile      = "UnknownProfile"
	ReasonUnknownTaskForce    = "UnknownTaskForce"
	ReasonTaskForceDigest     = "TaskForceDigestMismatch"
	ReasonTaskForceMember     = "TaskForceMemberNotParty"

	ReasonSigned            = "Signed"
	ReasonAwaitingDecision  = "AwaitingDecision"
	ReasonAwaitingSignature = "AwaitingSignature"
	ReasonInvalidSignature  = "InvalidSignature"

	ReasonInForce   = "InForce"
	ReasonNotYet    = "NotYet"
	ReasonExpired   = "Expired"
	ReasonSuspended = "Suspended"
	// ReasonPartyWithdrawn: another party suspended or ended the agreement for itself, and something is left without it.
	ReasonPartyWithdrawn = "PartyWithdrawn"
	ReasonTerminated     = "Terminated"
	ReasonSuperseded     = "Superseded"
	ReasonNotAccepted    = "NotAccepted"
	ReasonNotSigned      = "NotSigned"
	ReasonNotResolved    = "NotResolved"
	ReasonDeleted        = "Deleted"

	ReasonOtherTerms = "OtherTermsStand"

	ReasonWithin90Days = "Within90Days"
	ReasonWithin30Days = "Within30Days"
	ReasonWithin7Days  = "Within7Days"
	ReasonOverdue      = "Overdue"
	ReasonOpen         = "Open"
	ReasonBeyondBound  = "BeyondBound"

	ReasonReady         = "Ready"
	ReasonPending       = "Pending"
	ReasonNotInForce    = "NotInForce"
	ReasonVaultError    = "VaultUnavailable"
	ReasonProgrammed    = "Programmed"
	ReasonRouteRejected = "RouteRejected"
	ReasonNoGateway     = "NoGateway"
	ReasonLogsAgree     = "LogsAgree"
	ReasonLogsDiffer    = "LogsDiffer"
	ReasonUnreachable   = "Unreachable"
)

// FieldOwner names of server-side apply: one per thing that is observed or decided.
const (
	// OwnerCompile applies digest, state, verified, decisions, coverage, routes and the conditions that compile decides; and, in the
	// same write, credentials, CredentialsReady and Programmed.
	OwnerCompile = "entente-compile"
	// OwnerSigner applies the local signature.
	OwnerSigner = "entente-signer"
	// OwnerStatements applies this agency's statements beside its signature.
	OwnerStatements = "entente-statements"
	// OwnerReceived applies what other parties sent by the exchange.
	OwnerReceived = "entente-received"
	// OwnerDelivered applies what other parties were told.
	OwnerDelivered = "entente-delivered"
	// OwnerReconciliation applies Reconciled, and what an Agency's status says of it.
	OwnerReconciliation = "entente-reconciliation"
)

// Finalizer keeps an agreement until its credentials are revoked and its route is a tombstone.
const Finalizer = "entente.dev/revoke"
