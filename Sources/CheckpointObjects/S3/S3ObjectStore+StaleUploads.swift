internal import CheckpointFormat

extension S3ObjectStore {
    /// An upload in parts that has begun and not ended.
    private struct StaleUpload {
        /// The key in the place; `key` is the one within the bucket.
        var name: String
        var key: String
        var id: String
        var age: Duration
    }

    /// Maximum number of pages that are read, of 1,000 uploads each.
    private static var pagesMax: Int { 10 }

    /// Aborts the uploads of segments below this prefix that were begun long ago: the process
    /// was killed. They are in no listing of objects, and cost as much as those. Uploads of other
    /// programs stay.
    ///
    /// - Parameter age: those younger than this may still be going on.
    /// - Returns: the number of uploads that were aborted.
    /// - Throws: `.denied`, `.unsupported`, `.failed`, `.noAnswer`.
    @discardableResult
    package func abortStaleUploads(
        olderThan age: Duration = .seconds(24 * 3600)
    ) throws(ObjectStoreError) -> Int {
        var count = 0
        for upload in try uploads() where upload.age >= age {
            let outcome = client.send(
                S3Request(
                    method: "DELETE", key: upload.key, query: [("uploadId", upload.id)]))
            guard case .answered(let answer, _) = outcome,
                [.success, .notFound].contains(answer.verdict)
            else { throw outcome.error("DELETE", upload.name) }
            count += 1
        }
        return count
    }

    /// Lists the uploads of segments that have not ended.
    private func uploads() throws(ObjectStoreError) -> [StaleUpload] {
        let prefix = full("segments/")
        var uploads: [StaleUpload] = []
        var marker: (key: String, id: String)?
        for _ in 0..<Self.pagesMax {
            var query = [("uploads", ""), ("prefix", prefix)]
            if let marker {
                query += [("key-marker", marker.key), ("upload-id-marker", marker.id)]
            }
            let outcome = client.send(S3Request(method: "GET", key: "", query: query))
            guard case .answered(let answer, _) = outcome, answer.verdict == .success,
                let page = XMLElement(decoding: answer.body)
            else { throw outcome.error("LIST", "segments/") }
            for element in page.children where element.name == "Upload" {
                // Without all three it cannot be known to be one's own, or old.
                guard let key = element["Key"], key.hasPrefix(prefix),
                    SegmentName(String(key.dropFirst(prefix.count))) != nil,
                    let id = element["UploadId"], !id.isEmpty,
                    let age = Self.age(since: element["Initiated"], answer)
                else { continue }
                uploads.append(
                    StaleUpload(
                        name: "segments/\(key.dropFirst(prefix.count))", key: key, id: id,
                        age: age))
            }
            guard page["IsTruncated"] == "true", let key = page["NextKeyMarker"],
                let id = page["NextUploadIdMarker"]
            else { break }
            marker = (key, id)
        }
        return uploads
    }
}
