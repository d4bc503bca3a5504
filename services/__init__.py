"""The kernel that both sides share: what a document is, who may see it, where it is stored."""
