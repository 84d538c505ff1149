/// A certificate that nobody trusts, for localhost and store.test, until 2126. Made by
/// `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500`.
enum TestCertificate {
    static let certificate = """
        -----BEGIN CERTIFICATE-----
        MIIBojCCAUegAwIBAgIUSAiB5F6DCYsPfmeCF1btj9GWGbIwCgYIKoZIzj0EAwIw
        FDESMBAGA1UEAwwJY2twdCB0ZXN0MCAXDTI2MTIwMTA5MzM0MloYDzIxMjYxMTA3
        MDkzMzQyWjAUMRIwEAYDVQQDDAlja3B0IHRlc3QwWTATBgcqhkjOPQIBBggqhkjO
        PQMBBwNCAAQ+M1RVUJj6owm1cIBHfonZeugwD70eOs6t4+O7BF3/BB9X1iHY3mIQ
        xzVKMVtBUhUh00cvcpP1l5cGNJTT/CKno3UwczAdBgNVHQ4EFgQUmKXNZkLIu9dV
        4K5LMN5+gSESeoQwHwYDVR0jBBgwFoAUmKXNZkLIu9dV4K5LMN5+gSESeoQwDwYD
        VR0TAQH/BAUwAwEB/zAgBgNVHREEGTAXgglsb2NhbGhvc3SCCnN0b3JlLnRlc3Qw
        CgYIKoZIzj0EAwIDSQAwRgIhAIo5sR0Czc4v2TN3wDF2ECTnKgHAxzO97UYdl8l0
        4+dHAiEAno+BNCF9DMxpImMiuZAnsA8TTvN7OvwwP+p04OrcYJ8=
        -----END CERTIFICATE-----
        """

    /// The key of this certificate, which is of use to nobody.
    static let key = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjEd6RQI41H4SJzzO
        IJ25AH7TKYr15U/DRgsqIZkA6u2hRANCAAQ+M1RVUJj6owm1cIBHfonZeugwD70e
        Os6t4+O7BF3/BB9X1iHY3mIQxzVKMVtBUhUh00cvcpP1l5cGNJTT/CKn
        -----END PRIVATE KEY-----
        """
}
