//! Chapter 5.2: a pipe between two processes.
//!
//! Prints, in any order:
//!
//! ```text
//! 📤 发送者发送:👋 你好,接收者!这是通过 Pipe 传的消息
//! 📥 接收者收到:👋 你好,接收者!这是通过 Pipe 传的消息
//! ```

use multiprocess::{Connection, Process, RemoteError, pipe};

fn send_msg(connection: Connection<String>) -> Result<(), RemoteError> {
    let msg = "👋 你好,接收者!这是通过 Pipe 传的消息";
    println!("📤 发送者发送:{msg}");
    connection.send(msg.to_string())?;
    Ok(()) // the connection is dropped here, and with that closed
}

fn recv_msg(connection: Connection<String>) -> Result<(), RemoteError> {
    println!("📥 接收者收到:{}", connection.recv()?);
    Ok(())
}

fn main() -> Result<(), RemoteError> {
    multiprocess::init();
    let (parent_connection, child_connection) = pipe()?;
    let child = Process::spawn(send_msg, child_connection)?;
    recv_msg(parent_connection)?;
    child.join()??;
    Ok(())
}
