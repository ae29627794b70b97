"""The kinds that are only asked, never stored: reviews of tokens and of access.

Owns: their rows. Must never do: know who answers; ``verbs.reviews`` does.
"""

from __future__ import annotations

from apiserver_shim.resources.resource import Resource

AUTHENTICATION = "authentication.k8s.io"
AUTHORIZATION = "authorization.k8s.io"


def _row(group: str, plural: str, kind: str, *, namespaced: bool = False) -> Resource:
    return Resource(group, "v1", plural, kind, namespaced=namespaced, verbs=("create",))


REVIEWS = (
    _row(AUTHENTICATION, "selfsubjectreviews", "SelfSubjectReview"),
    _row(AUTHENTICATION, "tokenreviews", "TokenReview"),
    _row(AUTHORIZATION, "localsubjectaccessreviews", "LocalSubjectAccessReview", namespaced=True),
    _row(AUTHORIZATION, "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    _row(AUTHORIZATION, "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
    _row(AUTHORIZATION, "subjectaccessreviews", "SubjectAccessReview"),
)
