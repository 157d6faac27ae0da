# Reads all mail under TLS and prints the SHA-256 of each message; then changes some.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use Mail::IMAPClient;

my ($host, $port, $user, $password, $cert) = @ARGV;
my $m = Mail::IMAPClient->new(
    Server => $host, Port => $port, User => $user, Password => $password, Uid => 1, Peek => 1,
    Starttls => [SSL_ca_file => $cert, SSL_verifycn_scheme => 'none'],
) or die "connect: $@";
sub ok { my ($result, $what) = @_; die "$what: " . $m->LastError unless defined $result; return $result }

ok($m->select('INBOX'), 'select');
my @uids = $m->messages or die 'messages: ' . $m->LastError;
print sha256_hex(ok($m->message_string($_), "message $_")), "\n" for @uids;
ok($m->create('perl'), 'create');
ok($m->copy('perl', @uids[0 .. 4]), 'copy');
my $uid = ok($m->append_string('perl', "Subject: pearl\r\n\r\noyster\r\n", '\Draft'), 'append');
ok($m->select('perl'), 'select');
ok($m->set_flag('Flagged', 1, 2), 'set_flag');
die 'flagged' unless join(' ', $m->search('FLAGGED')) eq '1 2';
die 'subject' unless ok($m->subject($uid), 'subject') eq 'pearl';
die 'search' unless join(' ', $m->search(SUBJECT => \"pearl")) eq $uid;
ok($m->delete_message(5), 'delete');
ok($m->expunge, 'expunge');
die 'count ' . $m->message_count unless $m->message_count == 5;
my $tag = ok($m->idle, 'idle');
ok($m->done($tag), 'done');
my $parts = ok($m->get_bodystructure(1), 'bodystructure');
die 'bodystructure' unless $parts->bodytype;
my $envelope = ok($m->get_envelope($uid), 'envelope');
die 'envelope' unless $envelope->subject eq 'pearl';
ok($m->rename('perl', 'pearl'), 'rename');
die 'folders' unless grep { $_ eq 'pearl' } $m->folders;
ok($m->logout, 'logout');
