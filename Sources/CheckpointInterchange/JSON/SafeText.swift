/// Text that is safe for a terminal: no character moves the cursor or changes the text direction.
package enum SafeText {
    /// Returns `text` with every invisible or control character replaced.
    /// - Parameter replacement: the text that replaces such a character.
    package static func escape(
        _ text: String, _ replacement: (Unicode.Scalar) -> String
    ) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            // Nearly all characters; looking up a category takes longer.
            if (0x20..<0x7F).contains(scalar.value) {
                result.append(scalar)
                continue
            }
            switch scalar.properties.generalCategory {
            // Controls start escape sequences; formats turn text around; the others have no glyph.
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned,
                .surrogate:
                result.append(contentsOf: replacement(scalar).unicodeScalars)
            default: result.append(scalar)
            }
        }
        return String(result)
    }
}
