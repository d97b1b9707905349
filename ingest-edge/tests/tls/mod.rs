//! The TLS end before clients of every habit: both versions, names and protocols that nobody knows, no goodbye.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, ProtocolVersion, SignatureScheme, SupportedProtocolVersion,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring,
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::common::{self, Edge};

/// Takes any certificate, as ffmpeg does.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

async fn connect(
    edge: &Edge,
    version: &'static SupportedProtocolVersion,
    name: &str,
    alpn: &[&str],
) -> TlsStream<TcpStream> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let socket = TcpStream::connect(edge.rtmps_address()).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap()
}

#[tokio::test]
async fn clients_of_both_versions_get_in_whatever_they_ask_for_by_name() {
    let edge = Edge::start().await;
    for (version, number) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        for (name, alpn) in
            [("localhost", &[][..]), ("another.example", &["h2", "http/1.1"]), ("192.0.2.7", &["rtmp"])]
        {
            let mut stream = connect(&edge, version, name, alpn).await;
            let (_, session) = stream.get_ref();
            assert_eq!((session.protocol_version(), session.alpn_protocol()), (Some(number), None));
            stream.write_all(&[3; 1537]).await.unwrap();
            let mut reply = vec![0; 3073];
            stream.read_exact(&mut reply).await.unwrap();
            assert_eq!(reply[0], 3);
            // Dropped: no goodbye of TLS's.
        }
    }
    edge.stop().await;
}

/// Whoever does not get through the handshake in time is cut, and holds nobody up.
#[tokio::test]
async fn handshakes_that_do_not_come_are_cut() {
    let edge = Edge::start().await;
    let began = std::time::Instant::now();
    let mut silent = TcpStream::connect(edge.rtmps_address()).await.unwrap();
    let mut half = TcpStream::connect(edge.rtmps_address()).await.unwrap();
    half.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).await.unwrap();
    let mut garbage = TcpStream::connect(edge.rtmps_address()).await.unwrap();
    garbage.write_all(&[0x41; 5000]).await.unwrap();
    connect(&edge, &TLS13, "localhost", &[]).await;
    let mut rest = Vec::new();
    // An alert or a reset, at once; the end of the connection.
    let _ = garbage.read_to_end(&mut rest).await;
    assert!(began.elapsed() < common::TLS_TIMEOUT, "garbage is not waited for");
    for socket in [&mut silent, &mut half] {
        let _ = socket.read_to_end(&mut rest).await;
        assert!(began.elapsed() >= common::TLS_TIMEOUT, "cut before its time");
    }
    edge.stop().await;
}
