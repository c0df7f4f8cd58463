package p0f

// FamilyOf returns the family of a system by its name, as other programs write it:
// "linux" for "Android 12", "apple" for "Mac OS X". It is "" for an unknown system.
func FamilyOf(name string) string { return familyOf("", name) }
