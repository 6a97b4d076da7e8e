"""From a prepared scan to label maps on its native grid."""
